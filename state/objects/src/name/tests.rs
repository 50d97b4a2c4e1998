//! What is a good name, and the exact texts for bad ones.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn one(faults: Vec<String>) -> String {
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.into_iter().next().unwrap()
}

#[test]
fn faults_are_worded_as_kubernetes_words_them() {
    assert_eq!(
        one(is_dns1123_subdomain("A.b")),
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
         end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    );
    assert_eq!(
        one(is_label_key("-a")),
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
         character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    );
    assert_eq!(one(is_dns1123_label("a.b")), "must not contain dots");
    assert_eq!(one(is_dns1123_label(&"a".repeat(64))), "must be no more than 63 characters");
    assert_eq!(one(is_label_value(&"a".repeat(64))), "must be no more than 63 bytes");
    assert_eq!(one(is_label_key("/a")), "prefix part must be non-empty");
    assert_eq!(is_label_key("a/").first().unwrap(), "name part must be non-empty");
    assert_eq!(one(is_path_segment_name("a%b")), "may not contain '%'");
    assert_eq!(one(is_port_name("a--b")), "must not contain consecutive hyphens");
    assert_eq!(one(is_port_number(0)), "must be between 1 and 65535, inclusive");
    assert_eq!(one(is_config_key("..a")), "must not start with '..'");
}

#[test]
fn addresses_with_leading_zeros_are_read_but_not_strictly() {
    assert!(is_ip("010.000.0.1").is_empty());
    assert_eq!(one(is_ip_strict("010.0.0.1")), "must not have leading 0s");
    assert_eq!(one(is_ip_strict("::ffff:1.2.3.4")), "must not be an IPv4-mapped IPv6 address");
    for bad in ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/8", "::g", "fe80::1%eth0", "1..2.3"] {
        assert_eq!(is_ip(bad).len(), 1, "{bad}");
    }
    assert_eq!(one(is_cidr_strict("10.0.0.1/8")), "must not have bits set beyond the prefix length");
    for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/64", "10.1.2.3/32"] {
        assert!(is_cidr_strict(good).is_empty(), "{good}");
    }
    for bad in ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/"] {
        assert_eq!(is_cidr(bad).len(), 1, "{bad}");
    }
}

proptest! {
    #[test]
    fn every_label_is_a_subdomain_and_a_label_value(label in "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?") {
        prop_assert!(is_dns1123_label(&label).is_empty());
        prop_assert!(is_dns1123_subdomain(&label).is_empty());
        prop_assert!(is_label_value(&label).is_empty());
        let key = format!("{label}/{label}");
        prop_assert!(is_label_key(&key).is_empty());
    }

    #[test]
    fn a_good_subdomain_stays_good_under_a_parent(a in "[a-z0-9]{1,5}", b in "[-.a-z0-9]{0,9}") {
        let joined = format!("{a}.{b}");
        prop_assert_eq!(is_dns1123_subdomain(&joined).is_empty(), is_dns1123_subdomain(&b).is_empty());
    }

    #[test]
    fn printed_addresses_are_read_back(v4: u32, v6: u128) {
        for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
            prop_assert_eq!(parse_ip_sloppy(&address.to_string()), Some(address));
        }
    }
}
