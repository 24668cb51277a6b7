//! Every change goes to disk and comes back, on every engine; revisions and names are guarded.
#![allow(clippy::unwrap_used)]

use super::{advance, apply, load, mend_revision, revision, revoked_count};
use crate::Error;
use crate::testing::engines;
use model::identity::*;
use model::{Secret, Timestamp};

fn domain(id: &str, name: &str) -> Domain {
    Domain {
        id: id.into(),
        name: name.into(),
        description: String::new(),
        enabled: true,
        token_floor: 0,
        options: Default::default(),
        extra: Default::default(),
    }
}

fn user(id: &str, domain: &str, name: &str) -> User {
    User {
        id: id.into(),
        domain_id: domain.into(),
        name: name.into(),
        enabled: true,
        password: Some(Secret::new("$argon2id$".into())),
        default_project_id: None,
        token_floor: 7,
        options: Default::default(),
        extra: Default::default(),
    }
}

fn everything() -> Vec<Change> {
    let grant = |actor, target, inherited| Change::Grant(Grant { actor, target, role_id: "r".into(), inherited });
    vec![
        Change::PutDomain(domain("default", "Default")),
        Change::PutProject(Project {
            id: "p".into(),
            domain_id: "default".into(),
            parent_id: None,
            name: "Straße".into(),
            description: "d".into(),
            enabled: true,
            tags: ["blue".to_owned()].into(),
            token_floor: 0,
            options: Default::default(),
            extra: Default::default(),
        }),
        Change::PutUser(user("u", "default", "ann")),
        Change::PutGroup(Group {
            id: "g".into(),
            domain_id: "default".into(),
            name: "ops".into(),
            description: String::new(),
            extra: Default::default(),
        }),
        Change::PutRole(Role {
            id: "r".into(),
            domain_id: None,
            name: "admin".into(),
            description: None,
            options: Default::default(),
            extra: Default::default(),
        }),
        Change::PutAppCredential(AppCredential {
            id: "c".into(),
            user_id: "u".into(),
            project_id: "p".into(),
            name: "ci".into(),
            description: None,
            secret: Secret::new("hash".into()),
            roles: ["r".to_owned()].into(),
            expires_at: Some(Timestamp(9)),
            unrestricted: false,
        }),
        Change::PutRegion(Region {
            id: "north".into(),
            description: String::new(),
            parent_region_id: None,
            extra: Default::default(),
        }),
        Change::PutService(CatalogService {
            id: "s".into(),
            kind: "volumev3".into(),
            name: None,
            description: None,
            enabled: true,
            extra: Default::default(),
        }),
        Change::PutEndpoint(Endpoint {
            id: "e".into(),
            service_id: "s".into(),
            interface: "public".into(),
            region_id: Some("north".into()),
            url: "http://elsewhere/".into(),
            enabled: true,
            extra: Default::default(),
        }),
        Change::Join { group: "g".into(), user: "u".into() },
        Change::Imply { prior: "r".into(), implied: "q".into() },
        grant(Actor::User("u".into()), Target::Project("p".into()), false),
        grant(Actor::User("u".into()), Target::System, false),
        grant(Actor::Group("g".into()), Target::Domain("default".into()), true),
        Change::Revoke(RevokedToken { audit_id: "a".into(), descendants: true, expires_at: Timestamp(5) }),
        Change::PutKey(SigningKey { id: "k".into(), created_at: Timestamp(1), secret: Secret::new(vec![7; 32]) }),
    ]
}

/// What removes each of [`everything`].
fn nothing() -> Vec<Change> {
    let grant = |actor, target, inherited| Change::Ungrant(Grant { actor, target, role_id: "r".into(), inherited });
    vec![
        Change::DropDomain("default".into()),
        Change::DropProject("p".into()),
        Change::DropUser("u".into()),
        Change::DropGroup("g".into()),
        Change::DropRole("r".into()),
        Change::DropAppCredential("c".into()),
        Change::DropRegion("north".into()),
        Change::DropService("s".into()),
        Change::DropEndpoint("e".into()),
        Change::Leave { group: "g".into(), user: "u".into() },
        Change::Unimply { prior: "r".into(), implied: "q".into() },
        grant(Actor::User("u".into()), Target::Project("p".into()), false),
        grant(Actor::User("u".into()), Target::System, false),
        grant(Actor::Group("g".into()), Target::Domain("default".into()), true),
        Change::ForgetRevoked(Timestamp(6)),
        Change::DropKey("k".into()),
    ]
}

#[tokio::test]
async fn every_change_comes_back_and_goes_away() {
    for engine in engines() {
        let apply_all = |changes: Vec<Change>| {
            engine.store.write(move |tx| changes.iter().try_for_each(|change| apply(tx, change)))
        };
        apply_all(everything()).await.unwrap();
        // Twice is as once, but for the key, which has no second form.
        apply_all(everything().into_iter().filter(|c| !matches!(c, Change::PutKey(_))).collect()).await.unwrap();
        let (_, loaded) = engine.store.read(load).await.unwrap();
        // Not by their text: secrets do not print.
        let missing: Vec<Change> = everything().into_iter().filter(|c| !loaded.contains(c)).collect();
        assert_eq!((missing, loaded.len()), (Vec::new(), everything().len()), "{}", engine.name);
        assert_eq!(engine.store.read(revoked_count).await.unwrap(), 1);
        apply_all(nothing()).await.unwrap();
        let (_, loaded) = engine.store.read(load).await.unwrap();
        assert_eq!(loaded, Vec::new(), "{}", engine.name);
    }
}

#[tokio::test]
async fn the_revision_lets_one_of_two_pass() {
    for engine in engines() {
        assert_eq!(engine.store.read(revision).await.unwrap(), 0);
        assert!(engine.store.write(|tx| advance(tx, 0)).await.unwrap(), "{}", engine.name);
        assert!(!engine.store.write(|tx| advance(tx, 0)).await.unwrap(), "{}", engine.name);
        assert_eq!(engine.store.read(revision).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_name_is_taken_once_in_its_domain() {
    for engine in engines() {
        let put = |u: User| engine.store.write(move |tx| apply(tx, &Change::PutUser(u.clone())));
        put(user("1", "a", "ann")).await.unwrap();
        put(user("2", "b", "ann")).await.unwrap();
        let again = put(user("3", "a", "ann")).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{}: {again:?}", engine.name);
        put(user("1", "a", "bea")).await.unwrap();
        put(user("3", "a", "ann")).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_revision_begins_anew_above_all_there_were_and_a_good_one_is_left() {
    for engine in engines() {
        let now = Timestamp(1_700_000_000_000_000);
        assert!(!engine.store.write(move |tx| mend_revision(tx, now)).await.unwrap(), "{}", engine.name);
        for damage in ["UPDATE identity_revision SET revision = -1", "UPDATE identity_revision SET id = 7", "DELETE FROM identity_revision"] {
            let mended = engine.store.write(move |tx| {
                tx.execute(damage, &[])?;
                mend_revision(tx, now)
            });
            assert!(mended.await.unwrap(), "{}: {damage}", engine.name);
            assert_eq!(engine.store.read(revision).await.unwrap(), 1_700_000_000_000_000, "{}: {damage}", engine.name);
            assert!(engine.store.write(|tx| advance(tx, 1_700_000_000_000_000)).await.unwrap());
        }
    }
}
