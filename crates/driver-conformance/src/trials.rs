//! The list of trials: each with the facet it is about and the sentences of `docs/driver-spec.md` that it proves.

mod console;
mod destroy;
mod diagnostics;
mod events;
mod identity;
mod pause;
mod power;
mod restart;
mod snapshot;
mod spawn;
mod suspend;
mod together;

use crate::bench::{Bench, Verdict};
use futures_util::future::BoxFuture;

/// One trial.
pub struct Trial {
    /// Its name.
    pub id: &'static str,
    /// Facet it is about; the core if `None`.
    pub facet: Option<&'static str>,
    /// Sentences of `docs/driver-spec.md`.
    pub proves: &'static [&'static str],
    /// It needs a backend that can be made to fall silent.
    pub disconnects: bool,
    pub(crate) run: for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, Verdict>,
}

macro_rules! trials {
    ($($facet:expr, $id:ident in $module:ident proves [$($must:literal),+] $(, $disconnects:ident)?;)*) => {
        &[$(Trial {
            id: stringify!($id),
            facet: $facet,
            proves: &[$($must),+],
            disconnects: trials!(@flag $($disconnects)?),
            run: |bench| Box::pin($module::$id(bench)),
        }),*]
    };
    (@flag) => { false };
    (@flag disconnects) => { true };
}

const CORE: Option<&str> = None;
const PAUSE: Option<&str> = Some("pause");
const SUSPEND: Option<&str> = Some("suspend");
const CONSOLE: Option<&str> = Some("console");
const LOG: Option<&str> = Some("console_log");
const DIAGNOSTICS: Option<&str> = Some("diagnostics");
const SNAPSHOT: Option<&str> = Some("snapshot");

/// Every trial, in the order in which they run.
pub static TRIALS: &[Trial] = trials! {
    CORE, says_who_it_is in identity proves ["M01"];
    CORE, nodes_are_sane in identity proves ["M02"];
    CORE, facets_do_not_change in identity proves ["M03"];
    CORE, the_absent_is_not_found in identity proves ["M04"];
    CORE, spawn_makes_a_running_guest in spawn proves ["M05", "M06"];
    CORE, spawn_twice_is_once in spawn proves ["M07"];
    CORE, spawn_brings_a_stopped_guest_to_running in spawn proves ["M08"];
    CORE, spawn_of_a_wrong_spec_leaves_nothing in spawn proves ["M09", "M10"];
    CORE, spawn_of_a_missing_image_leaves_nothing in spawn proves ["M09", "M10"];
    CORE, spawn_of_a_truncated_image_leaves_nothing in spawn proves ["M09", "M11"];
    CORE, spawn_without_its_documents_leaves_nothing in spawn proves ["M09", "M12"];
    CORE, config_drive_is_asked_by_reference in spawn proves ["M12"];
    CORE, spawn_is_cancelled_soon in spawn proves ["M13"];
    CORE, a_cancelled_operation_does_not_begin in spawn proves ["M13"];
    CORE, spawn_keeps_its_deadline in spawn proves ["M14"];
    CORE, destroy_of_the_absent_succeeds in destroy proves ["M15"];
    CORE, destroy_twice_leaves_nothing in destroy proves ["M15", "M16"];
    CORE, destroy_works_in_any_state in destroy proves ["M16"];
    CORE, destroy_keeping_disks_forgets_the_guest in destroy proves ["M17"];
    CORE, power_goes_off_and_on_twice in power proves ["M18"];
    CORE, power_works_beside_other_guests in power proves ["M19"];
    CORE, hard_reboot_works_in_any_state in power proves ["M20"];
    CORE, soft_reboot_ends_running in power proves ["M21"];
    CORE, events_tell_of_every_change in events proves ["M22"];
    CORE, events_are_taken_once_and_end in events proves ["M23"];
    CORE, guests_outlive_the_driver in restart proves ["M24", "M25"];
    CORE, guests_outlive_a_death in restart proves ["M24"];
    CORE, a_death_in_mid_spawn_can_be_repaired in restart proves ["M26"];
    CORE, a_silent_backend_is_unreachable in restart proves ["M27"], disconnects;
    CORE, a_backend_that_returns_is_found in restart proves ["M28"], disconnects;
    CORE, crossing_changes_leave_one_guest in together proves ["M29"];
    CORE, crossing_spawn_and_destroy_leave_nothing in together proves ["M29"];
    PAUSE, pause_twice_and_back in pause proves ["M30"];
    PAUSE, pause_of_a_stopped_guest_is_refused in pause proves ["M31"];
    SUSPEND, suspend_twice_and_back in suspend proves ["M32"];
    SUSPEND, suspended_guests_outlive_the_driver in suspend proves ["M33"];
    CONSOLE, every_kind_of_console_opens in console proves ["M34"];
    CONSOLE, console_of_a_stopped_guest_is_refused in console proves ["M35"];
    CONSOLE, other_kinds_of_console_are_refused in console proves ["M35"];
    LOG, console_log_is_bounded in console proves ["M36"];
    DIAGNOSTICS, diagnostics_match_the_guest in diagnostics proves ["M37"];
    SNAPSHOT, snapshot_arrives_complete in snapshot proves ["M38", "M39"];
    SNAPSHOT, snapshot_twice_is_two_whole_images in snapshot proves ["M38"];
    SNAPSHOT, snapshot_of_a_stopped_guest in snapshot proves ["M38", "M39"];
    SNAPSHOT, snapshot_boots in snapshot proves ["M40"];
    SNAPSHOT, snapshot_that_cannot_be_stored_harms_nothing in snapshot proves ["M41"];
    SNAPSHOT, snapshot_is_cancelled_soon in snapshot proves ["M13", "M41"];
};
