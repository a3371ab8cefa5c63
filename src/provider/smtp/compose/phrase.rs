//! The words around a citizen's message, in the citizen's language.
//!
//! Fixed text only: what senders write is never translated.

use std::sync::LazyLock;

use araldo_actors::domain::citizen::Language;
use minijinja::Value;

/// The phrases of one language. `{…}` stands for what the template puts in
/// its place.
pub(super) struct Phrases {
    /// BCP 47, for `lang` and Content-Language.
    pub(super) lang: &'static str,
    pub(super) due: &'static str,
    pub(super) due_note: &'static str,
    pub(super) payment: &'static str,
    pub(super) amount: &'static str,
    pub(super) notice_number: &'static str,
    pub(super) payee: &'static str,
    pub(super) payee_code: &'static str,
    pub(super) invalid_after: &'static str,
    /// Followed by service and organisation.
    pub(super) why: &'static str,
    pub(super) of: &'static str,
    pub(super) inbox: &'static str,
    pub(super) unsubscribe: &'static str,
    /// Name of the attached calendar file.
    pub(super) calendar_file: &'static str,
    pub(super) validation_subject: &'static str,
    pub(super) validation_text: &'static str,
    pub(super) validation_button: &'static str,
    pub(super) validation_ignore: &'static str,
    pub(super) months: [&'static str; 12],
}

impl Phrases {
    /// For templates; made once.
    pub(super) fn value(&'static self) -> Value {
        VALUES
            .iter()
            .find(|(lang, _)| *lang == self.lang)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }

    fn to_value(&'static self) -> Value {
        Value::from_pairs([
            ("lang", self.lang),
            ("due", self.due),
            ("due_note", self.due_note),
            ("payment", self.payment),
            ("amount", self.amount),
            ("notice_number", self.notice_number),
            ("payee", self.payee),
            ("payee_code", self.payee_code),
            ("invalid_after", self.invalid_after),
            ("why", self.why),
            ("of", self.of),
            ("inbox", self.inbox),
            ("unsubscribe", self.unsubscribe),
            ("calendar_file", self.calendar_file),
            ("validation_subject", self.validation_subject),
            ("validation_text", self.validation_text),
            ("validation_button", self.validation_button),
            ("validation_ignore", self.validation_ignore),
        ])
    }
}

static VALUES: LazyLock<Vec<(&'static str, Value)>> = LazyLock::new(|| {
    let all = [&ITALIAN, &ENGLISH, &SPANISH, &GERMAN, &FRENCH];
    all.into_iter().map(|words| (words.lang, words.to_value())).collect()
});

/// The phrases of `language`.
pub(super) const fn phrases(language: Language) -> &'static Phrases {
    match language {
        Language::Italian => &ITALIAN,
        Language::English => &ENGLISH,
        Language::Spanish => &SPANISH,
        Language::German => &GERMAN,
        Language::French => &FRENCH,
    }
}

static ITALIAN: Phrases = Phrases {
    lang: "it",
    due: "Scadenza",
    due_note: "La scadenza è anche nel file allegato, da aggiungere al calendario.",
    payment: "Avviso di pagamento pagoPA",
    amount: "Importo",
    notice_number: "Numero avviso",
    payee: "Ente creditore",
    payee_code: "codice fiscale",
    invalid_after: "Dopo la scadenza questo avviso non può più essere pagato.",
    why: "Ricevi questa e-mail perché per il servizio",
    of: "di",
    inbox: "hai scelto di essere avvisato anche per e-mail. Il messaggio resta nella tua casella nell’app.",
    unsubscribe: "Non ricevere più e-mail da questo servizio",
    calendar_file: "scadenza.ics",
    validation_subject: "Conferma il tuo indirizzo e-mail",
    validation_text: "Questo indirizzo è stato indicato per ricevere per e-mail i messaggi della \
        pubblica amministrazione. Confermalo con il pulsante qui sotto.",
    validation_button: "Conferma l’indirizzo",
    validation_ignore: "Se non sei stato tu, non fare nulla: l’indirizzo non sarà usato.",
    months: [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
};

static ENGLISH: Phrases = Phrases {
    lang: "en",
    due: "Due date",
    due_note: "The due date is also in the attached file, to add to your calendar.",
    payment: "pagoPA payment notice",
    amount: "Amount",
    notice_number: "Notice number",
    payee: "Payee",
    payee_code: "tax code",
    invalid_after: "After the due date this notice can no longer be paid.",
    why: "You get this e-mail because for the service",
    of: "of",
    inbox: "you chose to be told by e-mail as well. The message stays in your inbox in the app.",
    unsubscribe: "Stop e-mails from this service",
    calendar_file: "due-date.ics",
    validation_subject: "Confirm your e-mail address",
    validation_text: "This address was given to receive messages of the public administration by \
        e-mail. Confirm it with the button below.",
    validation_button: "Confirm the address",
    validation_ignore: "If this was not you, do nothing: the address will not be used.",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};

static SPANISH: Phrases = Phrases {
    lang: "es",
    due: "Vencimiento",
    due_note: "El vencimiento está también en el archivo adjunto, para añadirlo al calendario.",
    payment: "Aviso de pago pagoPA",
    amount: "Importe",
    notice_number: "Número de aviso",
    payee: "Entidad acreedora",
    payee_code: "código fiscal",
    invalid_after: "Después del vencimiento este aviso ya no se puede pagar.",
    why: "Recibes este correo porque para el servicio",
    of: "de",
    inbox: "elegiste recibir avisos también por correo electrónico. El mensaje queda en tu buzón \
        de la app.",
    unsubscribe: "No recibir más correos de este servicio",
    calendar_file: "vencimiento.ics",
    validation_subject: "Confirma tu dirección de correo",
    validation_text: "Esta dirección se indicó para recibir por correo los mensajes de la \
        administración pública. Confírmala con el botón de abajo.",
    validation_button: "Confirmar la dirección",
    validation_ignore: "Si no fuiste tú, no hagas nada: la dirección no se usará.",
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
};

static GERMAN: Phrases = Phrases {
    lang: "de",
    due: "Frist",
    due_note: "Die Frist steht auch in der angehängten Datei für Ihren Kalender.",
    payment: "Zahlungsaufforderung pagoPA",
    amount: "Betrag",
    notice_number: "Nummer der Zahlungsaufforderung",
    payee: "Zahlungsempfänger",
    payee_code: "Steuernummer",
    invalid_after: "Nach Ablauf der Frist kann diese Aufforderung nicht mehr bezahlt werden.",
    why: "Sie erhalten diese E-Mail, weil Sie für den Dienst",
    of: "von",
    inbox: "auch Benachrichtigungen per E-Mail gewählt haben. Die Mitteilung bleibt in Ihrem \
        Postfach in der App.",
    unsubscribe: "Keine E-Mails mehr von diesem Dienst",
    calendar_file: "frist.ics",
    validation_subject: "Bestätigen Sie Ihre E-Mail-Adresse",
    validation_text: "Diese Adresse wurde angegeben, um Mitteilungen der öffentlichen Verwaltung \
        per E-Mail zu erhalten. Bestätigen Sie sie mit der Schaltfläche unten.",
    validation_button: "Adresse bestätigen",
    validation_ignore: "Wenn Sie das nicht waren, tun Sie nichts: Die Adresse wird nicht verwendet.",
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
};

static FRENCH: Phrases = Phrases {
    lang: "fr",
    due: "Échéance",
    due_note: "L’échéance est aussi dans le fichier joint, à ajouter à votre agenda.",
    payment: "Avis de paiement pagoPA",
    amount: "Montant",
    notice_number: "Numéro d’avis",
    payee: "Bénéficiaire",
    payee_code: "code fiscal",
    invalid_after: "Après l’échéance, cet avis ne pourra plus être payé.",
    why: "Vous recevez cet e-mail parce que pour le service",
    of: "de",
    inbox: "vous avez choisi d’être averti aussi par e-mail. Le message reste dans votre boîte \
        dans l’application.",
    unsubscribe: "Ne plus recevoir d’e-mails de ce service",
    calendar_file: "echeance.ics",
    validation_subject: "Confirmez votre adresse e-mail",
    validation_text: "Cette adresse a été indiquée pour recevoir par e-mail les messages de \
        l’administration publique. Confirmez-la avec le bouton ci-dessous.",
    validation_button: "Confirmer l’adresse",
    validation_ignore: "Si ce n’était pas vous, ne faites rien : l’adresse ne sera pas utilisée.",
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
};
