//! Listing servers: what an index can answer is SQL, the rest a predicate of the caller's; pages go by
//! marker, so that a page costs the same wherever it is. Never counts offsets.

use super::{COLUMNS, Error, Result, Server, Tx, VmState, read};
use crate::{Value, placeholders};
use driver_api::Timestamp;
use model::Action;
use uuid::Uuid;

/// Which of living and gone servers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deleted {
    /// Those that live.
    #[default]
    No,
    /// Those that are gone.
    Only,
    /// Both (`changes-since`).
    Any,
}

/// What is wanted; an absent field asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Owner.
    pub project_id: Option<String>,
    /// Creator.
    pub user_id: Option<String>,
    /// These servers only; at most 500 at once.
    pub ids: Option<Vec<Uuid>>,
    /// One of these states.
    pub vm_states: Option<Vec<VmState>>,
    /// The running action is one of these; an empty list asks for idle servers.
    pub actions: Option<Vec<Action>>,
    /// Compute host.
    pub host: Option<String>,
    /// Node.
    pub node: Option<String>,
    /// Zone of the host.
    pub zone: Option<String>,
    /// Flavor as users see it.
    pub flavor_id: Option<String>,
    /// Image.
    pub image_id: Option<Uuid>,
    /// Keypair.
    pub key_name: Option<String>,
    /// Locked or not.
    pub locked: Option<bool>,
    /// Living, gone, or both.
    pub deleted: Deleted,
    /// Changed then or later.
    pub changed_since: Option<Timestamp>,
    /// Changed then or before.
    pub changed_before: Option<Timestamp>,
}

/// What a listing can be sorted by. An absent value sorts as the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// Made at.
    CreatedAt,
    /// Changed at.
    UpdatedAt,
    /// First active at.
    LaunchedAt,
    /// Identity.
    Id,
    /// Name.
    Name,
    /// State.
    VmState,
    /// Power.
    PowerState,
    /// Running action.
    Action,
    /// Host.
    Host,
    /// Node.
    Node,
    /// Zone.
    Zone,
    /// Project.
    ProjectId,
    /// User.
    UserId,
    /// Flavor.
    FlavorId,
    /// Image.
    ImageId,
    /// Keypair.
    KeyName,
    /// Lock.
    LockedBy,
}

impl SortKey {
    /// The expression that sorts; the same on both engines, which disagree where NULL belongs.
    fn sql(self) -> &'static str {
        match self {
            SortKey::CreatedAt => "created_at",
            SortKey::UpdatedAt => "updated_at",
            SortKey::LaunchedAt => "COALESCE(launched_at, 0)",
            SortKey::Id => "id",
            SortKey::Name => "name",
            SortKey::VmState => "vm_state",
            SortKey::PowerState => "power_state",
            SortKey::Action => "COALESCE(action, '')",
            SortKey::Host => "COALESCE(host, '')",
            SortKey::Node => "COALESCE(node, '')",
            SortKey::Zone => "COALESCE(zone, '')",
            SortKey::ProjectId => "project_id",
            SortKey::UserId => "user_id",
            SortKey::FlavorId => "flavor_id",
            SortKey::ImageId => "COALESCE(image_id, '')",
            SortKey::KeyName => "COALESCE(key_name, '')",
            SortKey::LockedBy => "COALESCE(locked_by, '')",
        }
    }
    /// The same of a record, to go on after it.
    fn value(self, s: &Server) -> Value {
        let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
        match self {
            SortKey::CreatedAt => s.created_at.into(),
            SortKey::UpdatedAt => s.updated_at.into(),
            SortKey::LaunchedAt => s.launched_at.unwrap_or_default().into(),
            SortKey::Id => s.id.into(),
            SortKey::Name => (&s.name).into(),
            SortKey::VmState => s.vm_state.into(),
            SortKey::PowerState => s.power_state.into(),
            SortKey::Action => text(s.action.map(Action::as_str)),
            SortKey::Host => text(s.host.as_deref()),
            SortKey::Node => text(s.node.as_deref()),
            SortKey::Zone => text(s.zone.as_deref()),
            SortKey::ProjectId => (&s.project_id).into(),
            SortKey::UserId => (&s.user_id).into(),
            SortKey::FlavorId => (&s.body.flavor.id).into(),
            SortKey::ImageId => s.body.image.map_or_else(|| Value::from(""), Value::from),
            SortKey::KeyName => text(s.body.key.as_ref().map(|(name, _)| name.as_str())),
            SortKey::LockedBy => s.locked_by.map_or_else(|| Value::from(""), Value::from),
        }
    }
}

/// Which part of the listing, in which order.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Keys with `true` for descending. Empty: newest first. The id always decides last, in the direction
    /// of the last key.
    pub sort: Vec<(SortKey, bool)>,
    /// Go on after this server; it must exist (a gone one serves too).
    pub marker: Option<Uuid>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Rows read at a time while a predicate thins them out.
const CHUNK: usize = 200;

/// The servers that `filter` and `keep` admit, in the page's order. A marker that never was is not found.
pub fn list(tx: &mut Tx, filter: &Filter, page: &Page, mut keep: impl FnMut(&Server) -> bool) -> Result<Vec<Server>> {
    let mut sort = if page.sort.is_empty() { vec![(SortKey::CreatedAt, true)] } else { page.sort.clone() };
    if !sort.iter().any(|(key, _)| *key == SortKey::Id) {
        sort.push((SortKey::Id, sort.last().is_some_and(|(_, down)| *down)));
    }
    let place = |server: &Server| sort.iter().map(|(key, _)| key.value(server)).collect::<Vec<_>>();
    let mut after = match page.marker {
        Some(id) => Some(place(&super::find(tx, id)?.ok_or_else(|| Error::not_found("marker", id))?)),
        None => None,
    };
    let wanted = page.limit.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    // Damaged rows behind the last good one: they come again, and must not be all that comes.
    let mut again = 0;
    while found.len() < wanted {
        // Without a limit everything is read at once; with one, no more than may still be needed.
        let chunk = page.limit.map(|_| (wanted - found.len()).max(if found.is_empty() { 1 } else { CHUNK }) + again);
        let (sql, params) = statement(filter, &sort, after.as_deref(), chunk);
        let rows = tx.query(&sql, &params)?;
        let last = chunk.is_none_or(|chunk| rows.len() < chunk);
        let mut good = 0;
        let servers = tx.readable("servers", &rows, |row| {
            let server = read(row)?;
            good = rows.iter().position(|r| std::ptr::eq(r, row)).map_or(good, |at| at + 1);
            Ok(server)
        })?;
        again = rows.len() - good;
        if let Some(server) = servers.last() {
            after = Some(place(server));
        }
        for server in servers {
            if found.len() < wanted && keep(&server) {
                found.push(server);
            }
        }
        if last {
            break;
        }
    }
    Ok(found)
}

/// Conditions and their parameters as they grow.
#[derive(Default)]
struct Where {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Where {
    fn next(&mut self, value: Value) -> String {
        self.params.push(value);
        format!("${}", self.params.len())
    }
    fn is(&mut self, left: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let parameter = self.next(value.into());
            self.conditions.push(format!("{left} {parameter}"));
        }
    }
    fn one_of<T: Into<Value>>(&mut self, column: &str, values: impl IntoIterator<Item = T>) {
        let first = self.params.len() + 1;
        self.params.extend(values.into_iter().map(Into::into));
        let count = self.params.len() + 1 - first;
        self.conditions.push(if count == 0 {
            "1 = 0".to_owned()
        } else {
            format!("{column} IN ({})", placeholders(first, count))
        });
    }
}

fn statement(
    filter: &Filter,
    sort: &[(SortKey, bool)],
    after: Option<&[Value]>,
    limit: Option<usize>,
) -> (String, Vec<Value>) {
    let mut w = Where::default();
    match filter.deleted {
        Deleted::No => w.conditions.push("deleted_at IS NULL".into()),
        Deleted::Only => w.conditions.push("deleted_at IS NOT NULL".into()),
        Deleted::Any => {}
    }
    w.is("project_id =", filter.project_id.as_deref());
    w.is("user_id =", filter.user_id.as_deref());
    w.is("host =", filter.host.as_deref());
    w.is("node =", filter.node.as_deref());
    w.is("zone =", filter.zone.as_deref());
    w.is("flavor_id =", filter.flavor_id.as_deref());
    w.is("image_id =", filter.image_id);
    w.is("key_name =", filter.key_name.as_deref());
    w.is("updated_at >=", filter.changed_since);
    w.is("updated_at <=", filter.changed_before);
    match filter.locked {
        Some(true) => w.conditions.push("locked_by IS NOT NULL".into()),
        Some(false) => w.conditions.push("locked_by IS NULL".into()),
        None => {}
    }
    if let Some(ids) = &filter.ids {
        w.one_of("id", ids);
    }
    if let Some(states) = &filter.vm_states {
        w.one_of("vm_state", states.iter().copied());
    }
    match filter.actions.as_deref() {
        Some([]) => w.conditions.push("action IS NULL".into()),
        Some(actions) => w.one_of("action", actions.iter().copied()),
        None => {}
    }
    if let Some(place) = after {
        go_on(&mut w, sort, place);
    }
    let conditions = if w.conditions.is_empty() { "1 = 1".to_owned() } else { w.conditions.join(" AND ") };
    let order: Vec<_> = sort.iter().map(|(key, down)| format!("{}{}", key.sql(), if *down { " DESC" } else { "" })).collect();
    let mut sql = format!("SELECT {COLUMNS} FROM servers WHERE {conditions} ORDER BY {}", order.join(", "));
    if let Some(limit) = limit {
        let parameter = w.next(limit.into());
        sql.push_str(&format!(" LIMIT {parameter}"));
    }
    (sql, w.params)
}

/// Everything that sorts after the place with these values: a > x OR (a = x AND (b > y OR …)). The first key alone is said once
/// more, because that is what lets an index begin in the right place.
fn go_on(w: &mut Where, sort: &[(SortKey, bool)], place: &[Value]) {
    let parameters: Vec<_> = place.iter().map(|value| w.next(value.clone())).collect();
    let beyond = |down: &bool| if *down { "<" } else { ">" };
    let mut condition = String::new();
    for ((key, down), parameter) in sort.iter().zip(&parameters).rev() {
        let (key, than) = (key.sql(), beyond(down));
        condition = if condition.is_empty() {
            format!("{key} {than} {parameter}")
        } else {
            format!("({key} {than} {parameter} OR ({key} = {parameter} AND {condition}))")
        };
    }
    if let (Some((key, down)), Some(parameter)) = (sort.first(), parameters.first()) {
        w.conditions.push(format!("{} {}= {parameter}", key.sql(), beyond(down)));
    }
    w.conditions.push(format!("({condition})"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{SqliteMode, Store};

    async fn plan(filter: Filter, after: Option<Vec<Value>>) -> String {
        let store = Store::open_memory(SqliteMode::Inline).unwrap();
        let explain = store.read(move |tx| {
            let sort = [(SortKey::CreatedAt, true), (SortKey::Id, true)];
            let (sql, params) = statement(&filter, &sort, after.as_deref(), Some(10));
            tx.query(&format!("EXPLAIN QUERY PLAN {sql}"), &params)
        });
        let rows = explain.await.unwrap();
        rows.iter().map(|row| row.get::<String>("detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    /// A page must not become slower as the cloud grows: an index finds its beginning and gives its order.
    #[tokio::test]
    async fn pages_are_answered_by_an_index_alone() {
        let project = Filter { project_id: Some("p".into()), ..Filter::default() };
        let host = Filter { host: Some("h".into()), ..Filter::default() };
        let place = || Some(vec![Value::Int(5), Value::from("id")]);
        for (filter, after, expected) in [
            (project.clone(), None, "SEARCH servers USING INDEX servers_live_project (project_id=?)"),
            (project, place(), "SEARCH servers USING INDEX servers_live_project (project_id=? AND created_at<?)"),
            (host, place(), "SEARCH servers USING INDEX servers_live_host (host=? AND created_at<?)"),
            (Filter::default(), None, "SCAN servers USING INDEX servers_live"),
            (Filter::default(), place(), "SEARCH servers USING INDEX servers_live (created_at<?)"),
        ] {
            assert_eq!(plan(filter, after).await, expected);
        }
    }
}
