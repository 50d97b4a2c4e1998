//! Quantities as the API prints them, and the laws of their arithmetic.

use proptest::prelude::*;

use super::*;

fn printed(text: &str) -> String {
    Quantity::parse(text).unwrap().to_string()
}

#[test]
fn the_api_prints_the_canonical_form() {
    let cases = [
        ("0", "0"),
        ("0.0", "0"),
        ("000", "0"),
        ("-0", "0"),
        ("0Gi", "0"),
        ("1", "1"),
        ("1.0", "1"),
        ("1000m", "1"),
        ("100m", "100m"),
        ("0.1", "100m"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1.50", "1500m"),
        ("100u", "100u"),
        ("1e3", "1e3"),
        ("1k", "1k"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.1Ki", "102400m"),
        ("0.1Gi", "107374182400m"),
        ("512", "512"),
        ("1Gi", "1Gi"),
        ("1024Ki", "1Mi"),
        ("1073741824", "1073741824"),
        ("0.0000000001", "1n"),
        ("1n", "1n"),
        ("12e5", "1200e3"),
        ("1E3", "1E3"),
        ("+1", "+1"),
        (".5", "500m"),
        ("1.", "1."),
        ("-1", "-1"),
        ("-1500Mi", "-1500Mi"),
        ("100Ei", "9223372036854775807"),
        ("1E", "1E"),
        ("8Mi", "8Mi"),
        ("1000E", "1000E"),
        ("2000000m", "2k"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.001Ki", "1024m"),
        ("512Ki", "512Ki"),
    ];
    for (text, expected) in cases {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_a_quantity_is_refused_in_kubernetes_words() {
    for text in ["", "1GB", "1 Gi", "a", "1..2", "1.2.3", "1Gi ", "1e3x"] {
        assert_eq!(Quantity::parse(text), Err(QuantityError::Form), "{text}");
    }
    for text in ["1iK", "1mm", "1e", "1K", "1ki", "1MG", "1m5", "--1"] {
        assert_eq!(Quantity::parse(text), Err(QuantityError::Suffix), "{text}");
    }
}

#[test]
fn values_round_away_from_zero() {
    let q = |text| Quantity::parse(text).unwrap();
    assert_eq!((q("1.1").value(), q("-1.1").value(), q("0.1Ki").value()), (2, -2, 103));
    assert_eq!((q("1m").milli_value(), q("1u").milli_value(), q("2").milli_value()), (1, 1, 2000));
    assert_eq!((q("1e30").value(), q("-1e30").value()), (i64::MAX, i64::MIN));
    assert_eq!(q("1Ki").plus(&q("1")).to_string(), "1025");
    assert_eq!(Quantity::ZERO.plus(&q("1Gi")).to_string(), "1Gi");
    assert_eq!(q("2").minus(&q("500m")).to_string(), "1500m");
    assert_eq!(
        (q("100u").rounded_to_milli().to_string(), q("1.234").rounded_to_milli().to_string()),
        ("1m".into(), "1.234".into())
    );
    assert!(q("1024Mi") == q("1Gi") && q("1G") < q("1Gi") && q("-1") < q("0") && q("1e100") > q("100Ei"));
}

proptest! {
    #[test]
    fn printing_is_stable_and_keeps_the_amount(whole in 0u64..1_000_000_000_000, fraction in "[0-9]{0,9}", suffix in "(|n|u|m|k|M|G|Ki|Mi|Gi|e3|e-3|E5)") {
        let quantity = Quantity::parse(&format!("{whole}.{fraction}{suffix}")).unwrap();
        let again = Quantity::parse(&quantity.to_string()).unwrap();
        prop_assert_eq!(&quantity, &again);
        prop_assert_eq!(quantity.to_string(), again.to_string());
    }

    #[test]
    fn sums_and_order_are_those_of_the_numbers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
        let (x, y) = (Quantity::from_milli(a), Quantity::from_milli(b));
        prop_assert_eq!(x.plus(&y).milli_value(), a + b);
        prop_assert_eq!(x.minus(&y).milli_value(), a - b);
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
    }

    #[test]
    fn no_text_panics(text in "[-+.0-9eEinumkKMGTP]{0,60}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.value(), quantity.to_string(), quantity.plus(&Quantity::from_milli(1)));
        }
    }
}
