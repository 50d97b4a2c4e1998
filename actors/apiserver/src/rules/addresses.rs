//! Endpoints, EndpointSlices, IPAddresses and ServiceCIDRs: where traffic may go.

pub(crate) mod endpoint_slice;
pub(crate) mod endpoints;
pub(crate) mod ranges;

use std::net::IpAddr;

use cox_objects::{FieldError, Path};

use super::check::Errors;

/// An address that traffic must not be sent to: unspecified, loopback, link-local.
pub(crate) fn not_special(errors: &mut Errors, ip: IpAddr, shown: &str, path: &Path) {
    let link_local = match ip {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let link_local_multicast = match ip {
        IpAddr::V4(four) => matches!(four.octets(), [224, 0, 0, _]),
        IpAddr::V6(six) => matches!(six.segments(), [0xff02, ..]),
    };
    for (special, detail) in [
        (ip.is_unspecified(), format!("may not be unspecified ({shown})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ] {
        if special {
            errors.push(FieldError::invalid(path, shown, &detail));
        }
    }
}
