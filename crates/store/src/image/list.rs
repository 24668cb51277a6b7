//! Lists of images: whose view, which conditions, in which order, from which row on.

use super::rows::{COLUMNS, get, read};
use crate::{Result, Tx, Value};
use driver_api::DiskFormat;
use model::image::{Compare, Filter, Image, MemberFilter, NumberField, Query, SortKey, TextField, Visibility};

/// A statement with its parameters while it grows.
struct Sql {
    text: String,
    params: Vec<Value>,
}

impl Sql {
    /// Binds a value and answers its placeholder.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }
    fn and(&mut self, condition: &str) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
    }
}

/// The page that `query` asks for.
/// # Errors
/// `NotFound` if the marker is no image.
pub fn list(tx: &mut Tx, query: &Query) -> Result<Vec<Image>> {
    let mut sql = Sql { text: format!("SELECT {COLUMNS} FROM images WHERE 1 = 1"), params: Vec::new() };
    view(&mut sql, query);
    let hidden = sql.bind(query.hidden);
    sql.and(&format!("os_hidden = {hidden}"));
    for filter in &query.filters {
        condition(&mut sql, filter);
    }
    let sort = order(query);
    if let Some(marker) = query.marker {
        let marker = get(tx, marker)?;
        after(&mut sql, &sort, &marker);
    }
    let keys: Vec<String> =
        sort.iter().map(|(key, down)| format!("{} {}", expression(*key), if *down { "DESC" } else { "ASC" })).collect();
    sql.text.push_str(&format!(" ORDER BY {}", keys.join(", ")));
    tx.page("images", &sql.text, &sql.params, query.limit, read)
}

/// What the caller sees (`glance/db/sqlalchemy/api.py`, `_select_images_query`).
fn view(sql: &mut Sql, query: &Query) {
    if let Some(viewer) = &query.viewer {
        let project = sql.bind(viewer);
        let status = match query.member {
            MemberFilter::All => String::new(),
            MemberFilter::Status(status) => format!(" AND m.status = {}", sql.bind(status.as_str())),
        };
        sql.and(&format!(
            "(visibility IN ('public', 'community') OR owner = {project} OR (visibility = 'shared' AND EXISTS \
             (SELECT 1 FROM image_members m WHERE m.image_id = images.id AND m.member = {project}{status})))"
        ));
    }
    match query.visibility {
        Some(None) => {}
        Some(Some(visibility)) => {
            let word = sql.bind(visibility.as_str());
            sql.and(&format!("visibility = {word}"));
        }
        None => {
            let community = Visibility::Community.as_str();
            let project = sql.bind(&query.project);
            sql.and(&format!("(owner = {project} OR visibility <> '{community}')"));
        }
    }
}

fn text_column(field: TextField) -> &'static str {
    match field {
        TextField::Id => "id",
        TextField::Name => "name",
        TextField::Status => "status",
        TextField::Owner => "owner",
        TextField::ContainerFormat => "container_format",
        TextField::DiskFormat => "disk_format",
        TextField::Checksum => "checksum",
        TextField::HashValue => "os_hash_value",
    }
}

fn number_column(field: NumberField) -> &'static str {
    match field {
        NumberField::Size => "size",
        NumberField::VirtualSize => "virtual_size",
        NumberField::MinDisk => "min_disk",
        NumberField::MinRam => "min_ram",
        // Times are shown in seconds, so they are compared in seconds.
        NumberField::CreatedAt => "created_at / 1000000",
        NumberField::UpdatedAt => "updated_at / 1000000",
    }
}

fn condition(sql: &mut Sql, filter: &Filter) {
    let condition = match filter {
        Filter::Text(field, words) if words.is_empty() => format!("{} IS NULL AND 1 = 0", text_column(*field)),
        Filter::Text(field, words) => {
            let bound: Vec<String> = words.iter().map(|w| sql.bind(w)).collect();
            format!("{} IN ({})", text_column(*field), bound.join(", "))
        }
        Filter::Number(field, compare, value) => {
            let operator = match compare {
                Compare::Eq => "=",
                Compare::Neq => "<>",
                Compare::Gt => ">",
                Compare::Gte => ">=",
                Compare::Lt => "<",
                Compare::Lte => "<=",
            };
            format!("{} {operator} {}", number_column(*field), sql.bind(*value))
        }
        Filter::Protected(yes) => format!("protected = {}", sql.bind(*yes)),
        Filter::Tag(tag) => {
            let tag = sql.bind(tag);
            format!("EXISTS (SELECT 1 FROM image_tags t WHERE t.image_id = images.id AND t.tag = {tag})")
        }
        Filter::Property(name, value) => {
            let (name, value) = (sql.bind(name), sql.bind(value));
            format!(
                "EXISTS (SELECT 1 FROM image_properties p WHERE p.image_id = images.id AND p.name = {name} \
                 AND p.value = {value})"
            )
        }
    };
    sql.and(&condition);
}

/// What a key compares as. NULL sorts before everything on both engines.
fn expression(key: SortKey) -> &'static str {
    match key {
        SortKey::Name => "COALESCE(name, '')",
        SortKey::Status => "status",
        SortKey::ContainerFormat => "COALESCE(container_format, '')",
        SortKey::DiskFormat => "COALESCE(disk_format, '')",
        SortKey::Size => "COALESCE(size, -1)",
        SortKey::Id => "id",
        SortKey::CreatedAt => "created_at",
        SortKey::UpdatedAt => "updated_at",
    }
}

fn value(key: SortKey, image: &Image) -> Value {
    match key {
        SortKey::Name => image.name.clone().unwrap_or_default().into(),
        SortKey::Status => image.status.as_str().into(),
        SortKey::ContainerFormat => image.container_format.clone().unwrap_or_default().into(),
        SortKey::DiskFormat => image.disk_format.map_or("", DiskFormat::as_str).into(),
        SortKey::Size => image.size.map_or(Value::Int(-1), Value::from),
        SortKey::Id => image.id.into(),
        SortKey::CreatedAt => image.created_at.into(),
        SortKey::UpdatedAt => image.updated_at.into(),
    }
}

/// The wanted keys, made unique by time and id.
fn order(query: &Query) -> Vec<(SortKey, bool)> {
    let mut sort = query.sort.clone();
    let down = sort.last().is_none_or(|(_, down)| *down);
    for key in [SortKey::CreatedAt, SortKey::Id] {
        if !sort.iter().any(|(k, _)| *k == key) {
            sort.push((key, down));
        }
    }
    sort
}

/// Rows behind `marker`: (k1 > x1) or (k1 = x1 and k2 > x2) or …
fn after(sql: &mut Sql, sort: &[(SortKey, bool)], marker: &Image) {
    let mut any = Vec::new();
    for (depth, (key, down)) in sort.iter().enumerate() {
        let mut all = Vec::new();
        for (equal, _) in &sort[..depth] {
            let bound = sql.bind(value(*equal, marker));
            all.push(format!("{} = {bound}", expression(*equal)));
        }
        let bound = sql.bind(value(*key, marker));
        all.push(format!("{} {} {bound}", expression(*key), if *down { "<" } else { ">" }));
        any.push(format!("({})", all.join(" AND ")));
    }
    sql.and(&format!("({})", any.join(" OR ")));
}
