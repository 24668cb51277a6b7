//! Synchronous reads from a host: console log, console, diagnostics. No flow, no row.

use crate::hosts::Host;
use crate::{Conductor, Error, HostView};
use driver_api::{ConsoleKind, ConsoleStream, DiagnosticsReport, Op};
use model::server::{Server, VmState};
use model::service::Service;
use uuid::Uuid;

impl Conductor {
    /// The host that runs `server`, if it is up.
    pub(crate) fn host_of(&self, server: &Server) -> Result<Host, Error> {
        let Some(name) = &server.host else {
            return Err(Error::Conflict(format!("Instance {} is not on a host.", server.id)));
        };
        if let Some(peer) = self.peer(name) {
            return Err(match peer.down_reason {
                Some(reason) => Error::HostDown { host: name.clone(), reason },
                None => Error::Elsewhere { host: name.clone(), controller: peer.controller },
            });
        }
        let host = self.hosts.get(name).ok_or_else(|| Error::HostDown {
            host: name.clone(),
            reason: "no host of that name is configured".into(),
        })?;
        match &host.down_reason {
            Some(reason) => Err(Error::HostDown { host: name.clone(), reason: reason.clone() }),
            None => Ok(host),
        }
    }
    /// Refuses early if the driver of the server's host lacks `facet`.
    pub(crate) fn need(&self, host: &Host, facet: &str, action: &str) -> Result<(), Error> {
        let Some(r) = &host.registration else { return Ok(()) };
        if r.facets.iter().any(|f| f == facet) {
            return Ok(());
        }
        Err(Error::NoFacet {
            driver: r.driver.name.clone(),
            host: host.client.host().to_owned(),
            action: action.to_owned(),
            facet: facet.to_owned(),
        })
    }
    fn read_op(&self) -> Op {
        let mut op = Op::new(self.env.uuid());
        op.deadline = Some(self.env.clock.steady().plus(std::time::Duration::from_secs(30)));
        op
    }
    /// The last `lines` lines of the console.
    /// # Errors
    /// Host down, facet missing, guest not there.
    pub async fn console_log(&self, server: &Server, lines: Option<u32>) -> Result<Vec<u8>, Error> {
        let host = self.host_of(server)?;
        self.need(&host, "console_log", "os-getConsoleOutput")?;
        Ok(host.client.console_log(server.id, lines, &self.read_op()).await?)
    }
    /// Opens an interactive console.
    /// # Errors
    /// Host down, facet or kind missing, guest not running.
    pub async fn open_console(&self, server: &Server, kind: ConsoleKind) -> Result<ConsoleStream, Error> {
        let host = self.host_of(server)?;
        self.need(&host, "console", "remote-consoles")?;
        Ok(host.client.open_console(server.id, kind, &self.read_op()).await?)
    }
    /// Whether the server's host offers this kind of console; asked before a console's address is given out.
    /// # Errors
    /// Host down, facet or kind missing.
    pub fn offers_console(&self, server: &Server, kind: ConsoleKind) -> Result<(), Error> {
        let host = self.host_of(server)?;
        self.need(&host, "console", "remote-consoles")?;
        let word = match kind {
            ConsoleKind::Vnc => "COMPUTE_GRAPHICS_MODEL_VNC",
            ConsoleKind::Serial => "CUSTOM_COMPUTE_SERIAL_CONSOLE",
        };
        match &host.registration {
            Some(r) if !r.traits.iter().any(|t| t == word) => Err(Error::NoFacet {
                driver: r.driver.name.clone(),
                host: host.client.host().to_owned(),
                action: "remote-consoles".into(),
                facet: format!("console ({kind:?})"),
            }),
            _ => Ok(()),
        }
    }
    /// Diagnostics of a server.
    /// # Errors
    /// Host down, facet missing, guest not there.
    pub async fn diagnostics(&self, server: &Server) -> Result<DiagnosticsReport, Error> {
        let host = self.host_of(server)?;
        self.need(&host, "diagnostics", "diagnostics")?;
        if server.vm_state != VmState::Active {
            return Err(Error::Conflict(format!(
                "Cannot 'get_diagnostics' instance {} while it is in vm_state {}",
                server.id,
                server.vm_state.as_str()
            )));
        }
        Ok(host.client.diagnostics(server.id, &self.read_op()).await?)
    }
    /// `task_state`: the fine phase from memory, else what the running action says.
    pub fn task_state(&self, server: &Server) -> Option<&'static str> {
        server.action?;
        let fine = self.tasks.task_state(server.id);
        // A soft-deleted or deleting server shows no phase of what it was before.
        if server.action == Some(model::Action::Delete) { server.task_state() } else { fine.or(server.task_state()) }
    }
    /// Percent of the bytes of the running phase, where known.
    pub fn progress(&self, server: Uuid) -> Option<u8> {
        self.tasks.progress(server)
    }
    /// Every host.
    pub fn hosts(&self) -> Vec<HostView> {
        let mut all = self.hosts.views();
        all.extend(self.peer_views());
        all.sort_by(|a, b| a.service.host.cmp(&b.service.host));
        all
    }
    /// One host by name.
    pub fn host(&self, name: &str) -> Option<HostView> {
        self.hosts.view(name).or_else(|| self.peer_views().into_iter().find(|h| h.service.host == name))
    }
    /// What `of` makes of a host's row and of whether it answers: for who asks of many hosts, one after the other.
    pub fn host_status<T>(&self, name: &str, of: impl FnOnce(&Service, bool) -> T) -> Option<T> {
        match self.hosts.ask(name, |h| h.service.clone().map(|s| (s, h.down_reason.is_none()))) {
            Some((service, up)) => Some(of(&service, up)),
            None => self.peer(name).map(|p| of(&p.service, p.down_reason.is_none())),
        }
    }
    /// The operator changed a host's row (disabled, forced down): memory follows.
    pub fn service_changed(&self, service: Service) {
        self.placement.set_enabled(&service.host, !service.disabled && !service.forced_down);
        self.hosts.set_service(service);
    }
}

impl Conductor {
    /// Guests that a host's backend has now.
    /// # Errors
    /// Host down or unknown.
    pub async fn guests(&self, host: &str) -> Result<Vec<driver_api::Observed>, Error> {
        let known = self.hosts.get(host).filter(|h| h.down_reason.is_none()).ok_or_else(|| Error::HostDown {
            host: host.to_owned(),
            reason: "it does not answer now".into(),
        })?;
        Ok(known.client.list(&self.read_op()).await?)
    }
}
