//! The due date for the citizen's calendar (RFC 5545).

use araldo_actors::domain::message::Message;
use araldo_actors::domain::service::Service;
use araldo_actors::domain::time::Millis;
use chrono::TimeDelta;
use icalendar::{Alarm, Calendar, Component, Event, EventLike, Property, Trigger};

use super::figure::calendar_time;
use super::one_line;

/// How long before the due date the citizen is reminded.
const REMINDER: TimeDelta = TimeDelta::days(1);

/// A calendar with one event at `due`, and an alarm before it. The same
/// message gives the same bytes: every identifier and instant that the
/// library would make up is given.
pub(super) fn calendar(message: &Message, service: &Service, due: Millis, domain: &str) -> String {
    let uid = format!("{}@{domain}", message.id);
    let stamp = calendar_time(message.accepted_at);
    let subject = one_line(&message.content.subject);
    let mut alarm = Alarm::display(&subject, Trigger::before_start(REMINDER));
    alarm.uid(&format!("alarm-{uid}")).add_property("DTSTAMP", &stamp);
    let from = format!("{} - {}", service.organization.name, service.name);
    let mut event = Event::new();
    event
        .uid(&uid)
        .summary(&subject)
        .description(&one_line(&from))
        .add_property("DTSTAMP", &stamp)
        .add_property("DTSTART", calendar_time(due))
        .add_property("TRANSP", "TRANSPARENT")
        .alarm(alarm);
    let mut calendar = Calendar::empty();
    for (key, value) in [
        ("VERSION", "2.0"),
        ("PRODID", "-//Araldo//Araldo//EN"),
        ("CALSCALE", "GREGORIAN"),
        ("METHOD", "PUBLISH"),
    ] {
        calendar.append_property(Property::new(key, value));
    }
    calendar.push(event);
    calendar.to_string()
}
