//! The little language of extra specs (`nova/scheduler/filters/extra_specs_ops.py`): `<in> x`, `<or> a <or> b`,
//! `>= 4`, `s== word`. A value without an operator means equality.

/// Does `have` meet `want`?
pub(crate) fn matches(have: &str, want: &str) -> bool {
    let mut words = want.split_whitespace();
    let Some(first) = words.next() else { return have.is_empty() };
    let rest: Vec<&str> = words.collect();
    let operand = rest.first().copied().unwrap_or("");
    let numbers = || Some((have.trim().parse::<f64>().ok()?, operand.parse::<f64>().ok()?));
    let compare = |test: fn(f64, f64) -> bool| numbers().is_some_and(|(a, b)| test(a, b));
    match first {
        "<in>" => have.contains(operand),
        "<or>" => want.split("<or>").map(str::trim).any(|w| !w.is_empty() && w == have),
        "<all-in>" => rest.iter().filter(|w| **w != "<all-in>").all(|w| have.contains(w)),
        "=" | ">=" => compare(|a, b| a >= b),
        "<=" => compare(|a, b| a <= b),
        "==" => compare(|a, b| (a - b).abs() < f64::EPSILON),
        "!=" => compare(|a, b| (a - b).abs() >= f64::EPSILON),
        "s==" => have == operand,
        "s!=" => have != operand,
        "s<" => have < operand,
        "s<=" => have <= operand,
        "s>" => have > operand,
        "s>=" => have >= operand,
        _ => have == want,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn operators_mean_what_nova_means() {
        for (have, want, met) in [
            ("QEMU", "QEMU", true),
            ("QEMU", "s== QEMU", true),
            ("QEMU", "<or> docker <or> QEMU", true),
            ("QEMU", "<or> docker <or> fake", false),
            ("a b c", "<in> b", true),
            ("12311321", "<all-in> 11 <all-in> 12", true),
            ("4", "= 3", true),
            ("2", ">= 3", false),
            ("2", "<= 3", true),
            ("x", ">= 3", false),
            ("true", "true", true),
            ("", "ssd", false),
        ] {
            assert_eq!(matches(have, want), met, "{have} / {want}");
        }
    }
}
