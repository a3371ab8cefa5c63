//! What the services write, in Italian, to one citizen.
//!
//! Pure text: the numbers in it are drawn, the names are those of synthetic people. Subjects keep 10-120 characters and
//! bodies 80-10,000, the limits of the sender contract.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::catalogue::{Service, Topic, catalogue};
use crate::population::{Citizen, Draw, places};

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Subject line.
    pub subject: String,
    /// Body in Markdown.
    pub markdown: String,
    /// Days until it is due.
    pub due_in_days: Option<i64>,
    /// What there is to pay, euro cents.
    pub amount_cents: Option<u64>,
}

const STREETS: [&str; 12] = [
    "via Roma",
    "via Garibaldi",
    "corso Italia",
    "via Mazzini",
    "via Dante Alighieri",
    "piazza della Repubblica",
    "via Verdi",
    "viale Europa",
    "via Cavour",
    "via Giacomo Matteotti",
    "via Manzoni",
    "corso Vittorio Emanuele II",
];
const SCHOOLS: [&str; 6] = [
    "Gianni Rodari",
    "Maria Montessori",
    "Don Milani",
    "Italo Calvino",
    "Rita Levi-Montalcini",
    "Galileo Galilei",
];
const EXAMS: [&str; 6] = [
    "esami del sangue",
    "radiografia del torace",
    "ecografia addominale",
    "visita cardiologica",
    "visita oculistica",
    "elettrocardiogramma",
];
const RISKS: [(&str, &str, &str); 5] = [
    (
        "gialla",
        "temporali",
        "Evita di sostare sotto alberi e impalcature e non attraversare sottopassi allagati.",
    ),
    (
        "arancione",
        "rischio idraulico",
        "Non scendere in cantine e garage, allontanati dagli argini dei corsi d'acqua.",
    ),
    (
        "gialla",
        "vento forte",
        "Metti al sicuro vasi e oggetti sui balconi e limita gli spostamenti.",
    ),
    (
        "arancione",
        "neve e ghiaccio",
        "Usa l'auto solo se necessario, con pneumatici invernali o catene a bordo.",
    ),
    (
        "gialla",
        "ondata di calore",
        "Bevi spesso, resta in luoghi freschi nelle ore centrali e chiama chi vive solo.",
    ),
];

/// What every text draws from.
struct Desk<'a> {
    draw: &'a mut Draw,
    sender: &'a str,
    greeting: String,
    full_name: String,
    town: &'a str,
    day: Date,
}

impl Desk<'_> {
    fn pick<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        let position = usize::try_from(self.draw.below(list.len() as u64)).unwrap_or(0);
        &list[position]
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw.below(high - low + 1)
    }

    fn date(&self, days: i64) -> Date {
        self.day.checked_add(days.days()).unwrap_or(self.day)
    }

    /// "10 marzo 2027".
    fn in_days(&self, days: i64) -> String {
        italian_date(self.date(days))
    }

    /// "il 10 marzo 2027", "l'8 marzo 2027".
    fn on(&self, days: i64) -> String {
        self.with_article(days, "il ", "l'")
    }

    /// "dal 10 marzo 2027", "dall'8 marzo 2027".
    fn since(&self, days: i64) -> String {
        self.with_article(days, "dal ", "dall'")
    }

    /// "al 10 marzo 2027", "all'8 marzo 2027".
    fn until(&self, days: i64) -> String {
        self.with_article(days, "al ", "all'")
    }

    /// Days that are spoken with a vowel take the elided article.
    fn with_article(&self, days: i64, plain: &str, elided: &str) -> String {
        let date = self.date(days);
        let article = if matches!(date.day(), 8 | 11) { elided } else { plain };
        format!("{article}{}", italian_date(date))
    }

    fn plate(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHJKLMNPRSTVWXYZ";
        let mut letter = || char::from(LETTERS[usize::from((self.draw.below(22)) as u8)]);
        let (a, b, c, d) = (letter(), letter(), letter(), letter());
        format!("{a}{b}{:03}{c}{d}", self.draw.below(1_000))
    }
}

/// Writes a message of this service to this citizen.
pub(super) fn write(draw: &mut Draw, service: &Service, citizen: &Citizen, day: Date) -> Content {
    let mut desk = Desk {
        draw,
        sender: &catalogue().organization_of(service).name,
        greeting: format!("Gentile {} {},", citizen.given_name, citizen.surname),
        full_name: format!("{} {}", citizen.given_name, citizen.surname),
        town: &places().all()[citizen.municipality].name,
        day,
    };
    let mut content = match service.topic {
        Topic::RegistryCertificate => registry_certificate(&mut desk),
        Topic::SchoolMeals => school_meals(&mut desk),
        Topic::TrafficFine => traffic_fine(&mut desk),
        Topic::WasteTax => waste_tax(&mut desk),
        Topic::RoadChange => road_change(&mut desk),
        Topic::HealthTicket => health_ticket(&mut desk),
        Topic::Prescription => prescription(&mut desk),
        Topic::HealthExemption => health_exemption(&mut desk),
        Topic::MedicalReport => medical_report(&mut desk),
        Topic::RevenueNotice => revenue_notice(&mut desk),
        Topic::TaxRefund => tax_refund(&mut desk),
        Topic::CadastralSurvey => cadastral_survey(&mut desk),
        Topic::CarTax => car_tax(&mut desk),
        Topic::OwnershipCertificate => ownership_certificate(&mut desk),
        Topic::CivilProtection => civil_protection(&mut desk),
    };
    content.markdown = format!("{}\n\n{}\n\n*{}*", desk.greeting, content.markdown, desk.sender);
    content
}

fn content(subject: String, markdown: String) -> Content {
    Content { subject, markdown, due_in_days: None, amount_cents: None }
}

impl Content {
    fn due(mut self, days: i64) -> Self {
        self.due_in_days = Some(days);
        self
    }

    fn pay(mut self, cents: u64) -> Self {
        self.amount_cents = Some(cents);
        self
    }
}

fn registry_certificate(desk: &mut Desk<'_>) -> Content {
    let kind =
        *desk.pick(&["di residenza", "di stato di famiglia", "di nascita", "di cittadinanza"]);
    let number = desk.between(10_000, 99_999);
    content(
        format!("Il tuo certificato {kind} è pronto"),
        format!(
            "il certificato **{kind}** intestato a {} che hai richiesto (pratica n. {number}) è pronto.\n\nPuoi scaricarlo \
             dal portale dei servizi anagrafici entro {}. Il documento è firmato digitalmente e ha lo stesso valore di \
             quello rilasciato allo sportello.",
            desk.full_name,
            desk.on(90)
        ),
    )
}

fn school_meals(desk: &mut Desk<'_>) -> Content {
    let school = *desk.pick(&SCHOOLS);
    let meals = desk.between(8, 22);
    let cents = meals * desk.between(320, 580);
    content(
        format!("Mensa scolastica: retta da pagare per la scuola {school}"),
        format!(
            "è disponibile la retta della mensa della scuola **{school}**.\n\n- Pasti consumati: **{meals}**\n- Importo: \
             **{}**\n- Scadenza: **{}**\n\nPuoi pagare direttamente da questo messaggio. Se hai diritto a una riduzione \
             ISEE l'importo è già calcolato.",
            euro(cents),
            desk.in_days(20)
        ),
    )
    .due(20)
    .pay(cents)
}

fn traffic_fine(desk: &mut Desk<'_>) -> Content {
    let street = *desk.pick(&STREETS);
    let plate = desk.plate();
    let cents = *desk.pick(&[2_940_u64, 4_200, 6_000, 8_700, 12_110, 17_300]);
    let report = desk.between(100_000, 999_999);
    content(
        format!("Verbale n. {report}: violazione del Codice della Strada"),
        format!(
            "ti informiamo che è stato emesso il verbale **n. {report}** per il veicolo targato **{plate}**, accertato in \
             {street}, {}.\n\n- Importo ridotto del 30% se paghi entro 5 giorni: **{}**\n- Importo entro 60 giorni: **{}**\n\n\
             Puoi consultare la documentazione fotografica nell'area personale.",
            desk.town,
            euro(cents * 7 / 10),
            euro(cents)
        ),
    )
    .due(60)
    .pay(cents)
}

fn waste_tax(desk: &mut Desk<'_>) -> Content {
    let (street, number) = (*desk.pick(&STREETS), desk.between(1, 180));
    let surface = desk.between(38, 160);
    let cents = surface * desk.between(140, 310);
    let rate = *desk.pick(&["prima rata", "seconda rata", "rata di saldo"]);
    content(
        format!("TARI {}: {rate} in scadenza", desk.day.year()),
        format!(
            "è disponibile l'avviso di pagamento della **TARI** per l'immobile di {street} {number}, {}.\n\n- Superficie: \
             {surface} m²\n- Rata: {rate}\n- Importo: **{}**\n- Scadenza: **{}**\n\nSe hai attivato l'addebito sul conto \
             non devi fare nulla.",
            desk.town,
            euro(cents),
            desk.in_days(30)
        ),
    )
    .due(30)
    .pay(cents)
}

fn road_change(desk: &mut Desk<'_>) -> Content {
    let street = *desk.pick(&STREETS);
    let days = i64::try_from(desk.between(2, 9)).unwrap_or(2);
    content(
        format!("Lavori in {street}: cambia la viabilità"),
        format!(
            "{} {} il traffico in {street} ({}) sarà interrotto per lavori alla rete idrica.\n\nLe linee di \
             trasporto pubblico saranno deviate; l'accesso resta consentito a residenti e mezzi di soccorso.",
            desk.since(days),
            desk.until(days + 5),
            desk.town
        ),
    )
}

fn health_ticket(desk: &mut Desk<'_>) -> Content {
    let exam = *desk.pick(&EXAMS);
    let cents = desk.between(1_200, 4_615);
    content(
        "Ticket sanitario da pagare".to_owned(),
        format!(
            "per la prestazione prenotata per **{}** è dovuto il pagamento del ticket.\n\n- Prestazione: {exam}\n- Importo: \
             **{}**\n\nPuoi pagare da questo messaggio: il giorno della visita ti basterà presentarti con la tessera \
             sanitaria.",
            desk.on(15),
            euro(cents)
        ),
    )
    .due(15)
    .pay(cents)
}

fn prescription(desk: &mut Desk<'_>) -> Content {
    let number = desk.between(1_000_000_000, 9_999_999_999);
    content(
        "Nuova ricetta elettronica disponibile".to_owned(),
        format!(
            "il tuo medico ha emesso una nuova ricetta elettronica.\n\n- Numero (NRE): **0300A{number}**\n- Valida fino \
             **{}**\n\nPuoi presentarla in farmacia mostrando il codice a barre del tuo Fascicolo Sanitario Elettronico \
             insieme alla tessera sanitaria.",
            desk.until(30)
        ),
    )
}

fn health_exemption(desk: &mut Desk<'_>) -> Content {
    let code = *desk.pick(&["E01", "E02", "E03", "E04"]);
    content(
        format!("Esenzione {code} dal ticket in scadenza"),
        format!(
            "la tua esenzione per reddito **{code}** scade **{}**.\n\nSe hai ancora i requisiti puoi rinnovarla con \
             un'autocertificazione dal Fascicolo Sanitario Elettronico, senza andare allo sportello.",
            desk.on(45)
        ),
    )
    .due(45)
}

fn medical_report(desk: &mut Desk<'_>) -> Content {
    let number = desk.between(100_000, 999_999);
    content(
        "È disponibile un nuovo referto".to_owned(),
        format!(
            "un nuovo referto (n. {number}) è disponibile nel tuo **Fascicolo Sanitario Elettronico**.\n\nPer la tua \
             riservatezza il contenuto si può leggere soltanto dopo l'accesso con SPID o CIE, fino {}.",
            desk.until(45)
        ),
    )
}

fn revenue_notice(desk: &mut Desk<'_>) -> Content {
    let cents = desk.between(3_500, 84_000);
    let year = desk.day.year() - 2;
    content(
        format!("Comunicazione sulla dichiarazione dei redditi {year}"),
        format!(
            "dal controllo automatico della dichiarazione relativa all'anno **{year}** risulta una differenza da versare.\n\n\
             - Importo: **{}**, con sanzione ridotta a un terzo\n- Scadenza: **{}**\n\nSe i dati non ti sembrano corretti \
             puoi chiedere assistenza dal servizio CIVIS senza pagare.",
            euro(cents),
            desk.in_days(30)
        ),
    )
    .due(30)
    .pay(cents)
}

fn tax_refund(desk: &mut Desk<'_>) -> Content {
    let cents = desk.between(2_400, 139_000);
    content(
        "Il tuo rimborso fiscale è in arrivo".to_owned(),
        format!(
            "il rimborso di **{}** risultante dal modello 730/{} è stato disposto.\n\nSarà accreditato entro **{}** sul \
             conto corrente che hai comunicato. Se l'IBAN è cambiato puoi aggiornarlo nell'area riservata.",
            euro(cents),
            desk.day.year(),
            desk.on(25)
        ),
    )
}

fn cadastral_survey(desk: &mut Desk<'_>) -> Content {
    let (sheet, parcel, unit) = (desk.between(1, 400), desk.between(1, 900), desk.between(1, 60));
    content(
        "La visura catastale richiesta è pronta".to_owned(),
        format!(
            "la visura catastale che hai richiesto è pronta.\n\n- Comune: {}\n- Foglio {sheet}, particella {parcel}, \
             subalterno {unit}\n\nPuoi scaricarla gratuitamente dall'area riservata fino {}.",
            desk.town,
            desk.until(7)
        ),
    )
}

fn car_tax(desk: &mut Desk<'_>) -> Content {
    let plate = desk.plate();
    let cents = desk.between(42, 210) * desk.between(258, 387);
    content(
        format!("Bollo auto in scadenza per il veicolo {plate}"),
        format!(
            "la tassa automobilistica del veicolo targato **{plate}** scade **{}**.\n\n- Importo: **{}**\n- Intestatario: \
             {}\n\nPuoi pagare da questo messaggio. Dopo la scadenza si aggiungono sanzioni e interessi.",
            desk.on(31),
            euro(cents),
            desk.full_name
        ),
    )
    .due(31)
    .pay(cents)
}

fn ownership_certificate(desk: &mut Desk<'_>) -> Content {
    let plate = desk.plate();
    content(
        format!("Certificato di proprietà digitale del veicolo {plate}"),
        format!(
            "il certificato di proprietà digitale del veicolo targato **{plate}** è stato aggiornato dopo l'ultima \
             annotazione al PRA.\n\nPuoi consultarlo e scaricarlo in ogni momento dai servizi online dell'ACI con SPID o CIE."
        ),
    )
}

fn civil_protection(desk: &mut Desk<'_>) -> Content {
    let (level, risk, advice) = *desk.pick(&RISKS);
    content(
        format!("Allerta {level} per {risk}: {}", desk.town),
        format!(
            "il bollettino di oggi prevede per **{}** un'**allerta {level}** per **{risk}** fino alle 24 di domani.\n\n\
             {advice}\n\nSegui gli aggiornamenti del tuo Comune. In caso di emergenza chiama il **112**.",
            desk.town
        ),
    )
}

fn euro(cents: u64) -> String {
    format!("{},{:02} €", cents / 100, cents % 100)
}

fn italian_date(date: Date) -> String {
    const MONTHS: [&str; 12] = [
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
    ];
    let month = usize::try_from(date.month()).unwrap_or(1).clamp(1, 12);
    format!("{} {} {}", date.day(), MONTHS[month - 1], date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_take_the_article_italian_wants() {
        let mut draw = Draw::new(1, 1);
        let desk = Desk {
            draw: &mut draw,
            sender: "",
            greeting: String::new(),
            full_name: String::new(),
            town: "",
            day: Date::constant(2027, 3, 7),
        };
        assert_eq!(
            (desk.on(1), desk.on(3)),
            ("l'8 marzo 2027".to_owned(), "il 10 marzo 2027".to_owned())
        );
        assert_eq!(
            (desk.since(4), desk.until(4)),
            ("dall'11 marzo 2027".to_owned(), "all'11 marzo 2027".to_owned())
        );
        assert_eq!(euro(123_405), "1234,05 €");
    }
}
