//! `ACTIONS`: what may happen to a server in which state, and nowhere else.
//!
//! Answers of the API (409, 400), the flows' compare-and-set, the documents and later the dashboard's buttons are
//! read from this one table. Source: the state decorators of `nova/compute/api.py` and `compute-flows.md`.

use crate::server::VmState;
use serde::{Deserialize, Serialize};

/// An action on a server. Stored by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// POST /servers.
    Build,
    /// DELETE /servers/{id} and forceDelete.
    Delete,
    /// `os-start`.
    Start,
    /// `os-stop`.
    Stop,
    /// `reboot` SOFT.
    RebootSoft,
    /// `reboot` HARD.
    RebootHard,
    /// `pause`.
    Pause,
    /// `unpause`.
    Unpause,
    /// `suspend`.
    Suspend,
    /// `resume`.
    Resume,
    /// `createImage`.
    Snapshot,
    /// `rebuild`.
    Rebuild,
    /// `lock`: rows only.
    Lock,
    /// `unlock`: rows only.
    Unlock,
}

/// State after an action went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// This state.
    Set(VmState),
    /// The state it had before.
    Keep,
    /// The state stored before suspend.
    Old,
}

/// What a failed action leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// State `error` with a fault.
    Error,
    /// The state it had, with a fault recorded in the action.
    Keep,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ActionRow {
    /// The action.
    pub action: Action,
    /// Word of `os-instance-actions`.
    pub name: &'static str,
    /// States that admit it.
    pub from: &'static [VmState],
    /// It may begin while another action runs (it takes the server over).
    pub preempts: &'static [Action],
    /// `task_state` while it runs.
    pub task_state: Option<&'static str>,
    /// State after success.
    pub then: After,
    /// State after failure.
    pub on_error: OnError,
    /// Facet that the host's driver must have.
    pub facet: Option<&'static str>,
    /// Policy name of the original.
    pub policy: &'static str,
    /// A locked server refuses it to its owner.
    pub lock_applies: bool,
}

use Action as A;
use VmState::{Active, Building, Error, Paused, Rescued, Resized, Shelved, ShelvedOffloaded, SoftDeleted, Stopped, Suspended};

const ANY: &[VmState] = &[
    Building, Active, Paused, Suspended, Stopped, Rescued, Resized, SoftDeleted, Error, Shelved, ShelvedOffloaded,
];
const EVERY_ACTION_BUT_DELETE: &[Action] = &[
    A::Build,
    A::Start,
    A::Stop,
    A::RebootSoft,
    A::RebootHard,
    A::Pause,
    A::Unpause,
    A::Suspend,
    A::Resume,
    A::Snapshot,
    A::Rebuild,
];

const fn row(action: Action, name: &'static str, policy: &'static str, from: &'static [VmState], then: After) -> ActionRow {
    ActionRow {
        action,
        name,
        from,
        preempts: &[],
        task_state: None,
        then,
        on_error: OnError::Error,
        facet: None,
        policy,
        lock_applies: true,
    }
}

/// The table.
pub static ACTIONS: &[ActionRow] = &[
    ActionRow {
        task_state: Some("scheduling"),
        lock_applies: false,
        ..row(A::Build, "create", "os_compute_api:servers:create", &[Building], After::Set(Active))
    },
    ActionRow {
        task_state: Some("deleting"),
        preempts: EVERY_ACTION_BUT_DELETE,
        ..row(A::Delete, "delete", "os_compute_api:servers:delete", ANY, After::Set(VmState::Deleted))
    },
    ActionRow {
        task_state: Some("powering-on"),
        on_error: OnError::Keep,
        ..row(A::Start, "start", "os_compute_api:servers:start", &[Stopped], After::Set(Active))
    },
    ActionRow {
        task_state: Some("powering-off"),
        on_error: OnError::Keep,
        ..row(A::Stop, "stop", "os_compute_api:servers:stop", &[Active, Error], After::Set(Stopped))
    },
    ActionRow {
        task_state: Some("rebooting"),
        ..row(A::RebootSoft, "reboot", "os_compute_api:servers:reboot", &[Active], After::Set(Active))
    },
    ActionRow {
        task_state: Some("rebooting_hard"),
        preempts: &[A::RebootSoft],
        ..row(
            A::RebootHard,
            "reboot",
            "os_compute_api:servers:reboot",
            &[Active, Stopped, Paused, Suspended, Error],
            After::Set(Active),
        )
    },
    ActionRow {
        task_state: Some("pausing"),
        on_error: OnError::Keep,
        facet: Some("pause"),
        ..row(A::Pause, "pause", "os_compute_api:os-pause-server:pause", &[Active], After::Set(Paused))
    },
    ActionRow {
        task_state: Some("unpausing"),
        on_error: OnError::Keep,
        facet: Some("pause"),
        ..row(A::Unpause, "unpause", "os_compute_api:os-pause-server:unpause", &[Paused], After::Set(Active))
    },
    ActionRow {
        task_state: Some("suspending"),
        facet: Some("suspend"),
        ..row(A::Suspend, "suspend", "os_compute_api:os-suspend-server:suspend", &[Active], After::Set(Suspended))
    },
    ActionRow {
        task_state: Some("resuming"),
        facet: Some("suspend"),
        ..row(A::Resume, "resume", "os_compute_api:os-suspend-server:resume", &[Suspended], After::Old)
    },
    ActionRow {
        task_state: Some("image_snapshot_pending"),
        on_error: OnError::Keep,
        facet: Some("snapshot"),
        ..row(
            A::Snapshot,
            "createImage",
            "os_compute_api:servers:create_image",
            &[Active, Stopped, Paused, Suspended],
            After::Keep,
        )
    },
    ActionRow {
        task_state: Some("rebuilding"),
        ..row(A::Rebuild, "rebuild", "os_compute_api:servers:rebuild", &[Active, Stopped, Error], After::Set(Active))
    },
    ActionRow {
        lock_applies: false,
        ..row(A::Lock, "lock", "os_compute_api:os-lock-server:lock", ANY, After::Keep)
    },
    ActionRow {
        lock_applies: false,
        ..row(A::Unlock, "unlock", "os_compute_api:os-lock-server:unlock", ANY, After::Keep)
    },
];

impl Action {
    /// Every action.
    pub const ALL: [Action; 14] = [
        A::Build,
        A::Delete,
        A::Start,
        A::Stop,
        A::RebootSoft,
        A::RebootHard,
        A::Pause,
        A::Unpause,
        A::Suspend,
        A::Resume,
        A::Snapshot,
        A::Rebuild,
        A::Lock,
        A::Unlock,
    ];
    /// Its row.
    /// # Panics
    /// Never: a test holds every action against the table.
    pub fn row(self) -> &'static ActionRow {
        ACTIONS.iter().find(|r| r.action == self).expect("every action has its row")
    }
    /// Its word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            A::Build => "build",
            A::Delete => "delete",
            A::Start => "start",
            A::Stop => "stop",
            A::RebootSoft => "reboot_soft",
            A::RebootHard => "reboot_hard",
            A::Pause => "pause",
            A::Unpause => "unpause",
            A::Suspend => "suspend",
            A::Resume => "resume",
            A::Snapshot => "snapshot",
            A::Rebuild => "rebuild",
            A::Lock => "lock",
            A::Unlock => "unlock",
        }
    }
    /// The action of a stored word.
    pub fn parse(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|a| a.as_str() == word)
    }
}

/// Why an action may not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The state does not admit it.
    VmState(VmState),
    /// Another action runs.
    TaskState(&'static str),
    /// It is locked and the caller is no administrator.
    Locked,
}

/// May `action` begin on a server in this state? Pure; `store` repeats it as one compare-and-set.
/// # Errors
/// The refusal.
pub fn admit(action: Action, vm_state: VmState, running: Option<Action>, locked: bool, admin: bool) -> Result<(), Refusal> {
    let row = action.row();
    if locked && row.lock_applies && !admin {
        return Err(Refusal::Locked);
    }
    if !row.from.contains(&vm_state) {
        return Err(Refusal::VmState(vm_state));
    }
    match running {
        Some(r) if row.action != A::Lock && row.action != A::Unlock && !row.preempts.contains(&r) => {
            Err(Refusal::TaskState(r.row().task_state.unwrap_or("busy")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_row_and_its_word() {
        for a in Action::ALL {
            assert_eq!(ACTIONS.iter().filter(|r| r.action == a).count(), 1, "{a:?}");
            assert_eq!(Action::parse(a.as_str()), Some(a));
            if let Some(f) = a.row().facet {
                assert!(driver_api::FACETS.iter().any(|x| x.name == f), "facet {f} of {a:?} is none");
            }
        }
    }

    #[test]
    fn delete_takes_over_from_all_but_delete() {
        for s in ANY {
            for r in EVERY_ACTION_BUT_DELETE {
                assert_eq!(admit(Action::Delete, *s, Some(*r), false, false), Ok(()));
            }
        }
        assert!(admit(Action::Delete, Active, Some(Action::Delete), false, false).is_err());
        assert_eq!(admit(Action::Delete, Active, None, true, false), Err(Refusal::Locked));
        assert_eq!(admit(Action::Delete, Active, None, true, true), Ok(()));
    }
}
