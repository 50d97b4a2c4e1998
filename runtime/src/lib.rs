//! OCI images and containers behind one port; nothing here is Kubernetes-shaped.
//!
//! [`Runtime`] is the port. The crate knows images, sandboxes (a network and the other namespaces that
//! containers share) and containers; it does not know pods, probes or restart policies. Names that the
//! caller attaches to a sandbox are opaque labels.

mod cgroup;
mod clock;
pub mod config;
mod files;
pub mod hollow;
pub mod images;
pub mod logs;
pub mod monitor;
mod netlink;
pub mod oci;
mod oci_log;
mod patient;
pub mod port;
mod sys;

pub use config::{Config, NetworkConfig, NetworkDriver, RuntimeChoice};
pub use images::ImageStore;
pub use oci::{OciRuntime, OpenError};
pub use patient::Patient;
pub use port::container::{
    Capabilities, ContainerId, ContainerInfo, ContainerSpec, ContainerState, ContainerStats, ContainerStatus, Device,
    ExitReason, Mount, MountSource, Propagation, Resources, SeccompProfile, Security, Stdio, User, UserSpec,
};
pub use port::error::{ContainerError, ImageError, SandboxError};
pub use port::image::{FsUsage, Image, ImageConfig, RegistryAuth};
pub use port::sandbox::{
    HostNamespaces, PortMapping, Protocol, Sandbox, SandboxId, SandboxSpec, SandboxState, SandboxStats,
};
pub use port::stream::{
    AttachOptions, Duplex, ExecOptions, ExecOutcome, ExecOutput, Reader, Session, TerminalSize, Writer,
};
pub use port::{Event, Runtime, RuntimeInfo};
pub use sys::{release_code, return_large_blocks};
