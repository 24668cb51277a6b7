#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn server(body: &Value) -> Result<(String, Option<Option<String>>)> {
    only(body, "server", |at| {
        let mut f = at.object()?;
        let n = f.required("name", name)?;
        let d = f.since(true, "description", description(255))?;
        f.finish()?;
        Ok((n, d))
    })
}

#[test]
fn sentences_are_those_of_the_original() {
    let refused = |v: Value| server(&v).unwrap_err().0;
    assert_eq!(refused(json!({})), "'server' is a required property");
    assert_eq!(refused(json!([1])), "[1] is not of type 'object'");
    assert_eq!(
        refused(json!({"server": 5})),
        "Invalid input for field/attribute server. Value: 5. 5 is not of type 'object'"
    );
    assert_eq!(
        refused(json!({"server": {"name": 5}})),
        "Invalid input for field/attribute name. Value: 5. 5 is not of type 'string'"
    );
    assert_eq!(
        refused(json!({"server": {"name": ""}})),
        "Invalid input for field/attribute name. Value: . '' is too short"
    );
    assert!(refused(json!({"server": {"name": " a"}})).starts_with("An invalid 'name' value was provided."));
    assert_eq!(
        refused(json!({"server": {"name": "a", "zz": 1}})),
        "Invalid input for field/attribute server. Value: {'name': 'a', 'zz': 1}. Additional properties are not allowed ('zz' was unexpected)"
    );
    assert_eq!(
        refused(json!({"server": {"name": "a"}, "x": 1, "y": 2})),
        "Additional properties are not allowed ('x', 'y' were unexpected)"
    );
    assert!(refused(json!({"server": {"name": "a".repeat(256)}})).contains("is too long"));
}

#[test]
fn secrets_are_not_repeated() {
    let v = json!({"name": "a", "adminPass": "hunter2", "bad": 1});
    let e = At::new("server", &v).object().unwrap().finish().unwrap_err();
    assert!(!e.0.contains("hunter2"), "{e}");
    let v = json!(17);
    assert!(!At::new("adminPass", &v).text().unwrap_err().0.contains("Value: 17"));
}

#[test]
fn null_and_absent_differ() {
    assert_eq!(server(&json!({"server": {"name": "a"}})).unwrap().1, None);
    assert_eq!(server(&json!({"server": {"name": "a", "description": null}})).unwrap().1, Some(None));
}

#[test]
fn numbers_may_be_texts_of_digits() {
    let n = |v: Value| At::new("ram", &v).integer(1, 100);
    assert_eq!(n(json!(5)), Ok(5));
    assert_eq!(n(json!("5")), Ok(5));
    assert_eq!(n(json!(5.0)), Ok(5));
    for bad in [json!(0), json!(101), json!("x"), json!("-5"), json!(""), json!(1.5), json!(true), json!(null)] {
        assert!(n(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn addresses_and_truths_have_several_spellings() {
    let six = json!("0000:0000:0000:0000:0000:babe:220.12.22.2");
    assert_eq!(ipv6(At::new("accessIPv6", &six)).unwrap(), "::babe:dc0c:1602");
    for (word, truth) in [("T", Some(true)), ("y", Some(true)), ("Off", Some(false)), ("f", Some(false)), ("maybe", None)] {
        assert_eq!(truth_word(word), truth, "{word}");
    }
}

#[test]
fn names_of_hosts() {
    let h = |t: &str| hostname(At::new("hostname", &json!(t))).is_ok();
    assert!(h("web-1") && h("ab") && !h("a") && !h("-ab") && !h("ab-") && !h("a.b") && !h("a_b"));
    let f = |t: &str| fqdn(At::new("hostname", &json!(t))).is_ok();
    assert!(f("web-1.example.org") && !f("a b") && !f(""));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(t in "\\PC*", n in any::<i64>()) {
        let v = json!(t);
        for read in [name, text, zone_name, tag, hostname, fqdn, owner_id, ipv4, ipv6] {
            let _ = read(At::new("x", &v));
        }
        let _ = boolean(At::new("x", &v));
        let _ = At::new("x", &v).integer(0, 10);
        let _ = At::new("x", &json!(n)).integer(i64::MIN, i64::MAX);
    }

    #[test]
    fn accepted_names_have_no_blank_edges(t in "\\PC{0,40}") {
        if let Ok(n) = name(At::new("name", &json!(t))) {
            prop_assert_eq!(n.trim(), n.as_str());
        }
    }
}
