//! Steps of the walks: taken, stored together with whatever else the partition
//! has to store, and only then acted on.

use std::sync::Arc;

use super::{COHORTS, State, Which};
use crate::alert::RunningAlert;
use crate::domain::alert::{Cursor, Walk};
use crate::domain::delivery::Channel;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::message::batch::Cohort;
use crate::policy::walk::{self, Landing};

/// A step taken: what to store, and of which walk.
pub(crate) struct Stride {
    pub(super) running: Arc<RunningAlert>,
    which: Which,
    before: Cursor,
    after: Cursor,
    /// Taken when it is stored.
    effect: Option<Effect>,
    extra: Vec<(FiscalCode, Effect)>,
    pub(super) cohort: Option<Arc<Cohort>>,
}

impl Stride {
    /// What to store; asked once.
    pub(in crate::actor::partition) fn effects(&mut self) -> impl Iterator<Item = Effect> {
        let extra = self.extra.iter().map(|(_, effect)| effect.clone());
        self.effect.take().into_iter().chain(extra)
    }
}

impl State {
    /// Takes a step: it is stored with all that is waiting.
    pub(super) fn step(
        &mut self,
        alert: usize,
        which: Which,
        landing: Landing,
        extra: Vec<(FiscalCode, Effect)>,
        cohort: Option<Arc<Cohort>>,
    ) {
        let Landing { cursor, run, changed } = landing;
        let walks = &mut self.walks.alerts[alert];
        let (before, walk, channel) = match which {
            Which::Inbox => {
                (std::mem::replace(&mut walks.inbox, cursor.clone()), Walk::Inbox, Channel::InApp)
            }
            Which::Route(place) => {
                let own = &mut walks.routes[place];
                own.storing += 1;
                let channel = self.context.world.routes.entries()[place].carrier.channel();
                let before = std::mem::replace(&mut own.cursor, cursor.clone());
                (before, Walk::Route(self.routes[place].id.clone()), channel)
            }
            Which::Lost(place) => {
                let (route, own) = &mut walks.lost[place];
                let channel =
                    own.stragglers.first().map_or(Channel::Push, |s| s.endpoint.channel());
                (std::mem::replace(own, cursor.clone()), Walk::Route(route.clone()), channel)
            }
        };
        let (running, after) = (Arc::clone(&walks.running), cursor.clone());
        self.walks.pending += after.stragglers.len() as u64;
        self.walks.pending -= before.stragglers.len() as u64;
        let alert = running.alert.id;
        let effect = Some(Effect::Walked { alert, walk, channel, cursor, run, changed });
        self.walks.strides.push(Stride { running, which, before, after, effect, extra, cohort });
        self.flush_soon();
    }

    /// Acts on a step that is stored.
    pub(in crate::actor::partition) fn strode(&mut self, stride: Stride) {
        let Stride { running, which, before, after, extra, cohort, .. } = stride;
        let now = self.now();
        for (code, effect) in extra {
            self.account(code, &effect, None);
        }
        let kept = self.walks.alerts.iter().map(|alert| alert.recent.len()).sum::<usize>();
        let mut alerts = self.walks.alerts.iter_mut();
        let Some(walks) = alerts.find(|walk| Arc::ptr_eq(&walk.running, &running)) else { return };
        match which {
            Which::Inbox => {
                walks.reached = after.next;
                walks.moved_at = now;
                walks.inbox_shown.stepped(&before, &after);
                if let Some(cohort) = cohort {
                    let codes = cohort.passengers.iter().map(|passenger| &passenger.code);
                    self.context.ring(codes);
                    // The newest are what the routes close behind come to.
                    let fits = cohort.passengers.len() <= walk::LOAD;
                    if fits && (kept < COHORTS || walks.recent.pop_front().is_some()) {
                        walks.recent.push_back(cohort);
                    }
                }
            }
            Which::Route(place) => {
                let own = &mut walks.routes[place];
                own.storing -= 1;
                own.shown.stepped(&before, &after);
            }
            Which::Lost(_) => {}
        }
        self.context.handle().walk();
    }
}
