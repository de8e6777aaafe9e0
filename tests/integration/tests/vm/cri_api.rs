//! The part of the Container Runtime Interface that a pod with one container needs, as a kubelet
//! calls it (k8s.io/cri-api, runtime/v1/api.proto): messages with the fields that are set, calls
//! over containerd's socket.

use std::collections::HashMap;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// A message of api.proto by its fields.
macro_rules! messages {
    ($($name:ident { $($(#[$kind:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Clone, PartialEq, Message)]
            pub struct $name { $($(#[$kind])* pub $field: $type,)* }
        )*
    };
}

messages! {
    RunPodSandbox {
        #[prost(message, optional, tag = "1")] config: Option<PodSandboxConfig>,
        #[prost(string, tag = "2")] runtime_handler: String,
    }
    PodSandboxConfig {
        #[prost(message, optional, tag = "1")] metadata: Option<PodMetadata>,
        #[prost(message, optional, tag = "8")] linux: Option<LinuxPod>,
    }
    PodMetadata {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] uid: String,
        #[prost(string, tag = "3")] namespace: String,
    }
    LinuxPod {
        #[prost(string, tag = "1")] cgroup_parent: String,
        #[prost(message, optional, tag = "2")] security_context: Option<PodSecurity>,
    }
    PodSecurity {
        #[prost(message, optional, tag = "1")] namespaces: Option<Namespaces>,
    }
    // 2 is NODE: the host's network, which needs no CNI.
    Namespaces {
        #[prost(int32, tag = "1")] network: i32,
    }
    PodId {
        #[prost(string, tag = "1")] pod: String,
    }
    CreateContainer {
        #[prost(string, tag = "1")] pod: String,
        #[prost(message, optional, tag = "2")] config: Option<ContainerConfig>,
        #[prost(message, optional, tag = "3")] sandbox: Option<PodSandboxConfig>,
    }
    ContainerConfig {
        #[prost(message, optional, tag = "1")] metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "2")] image: Option<Image>,
        #[prost(string, repeated, tag = "3")] command: Vec<String>,
        #[prost(message, repeated, tag = "6")] envs: Vec<Variable>,
        #[prost(message, optional, tag = "15")] linux: Option<LinuxContainer>,
        #[prost(message, repeated, tag = "17")] cdi_devices: Vec<CdiDevice>,
    }
    ContainerMetadata {
        #[prost(string, tag = "1")] name: String,
    }
    Image {
        #[prost(string, tag = "1")] image: String,
    }
    Variable {
        #[prost(string, tag = "1")] key: String,
        #[prost(string, tag = "2")] value: String,
    }
    LinuxContainer {
        #[prost(message, optional, tag = "1")] resources: Option<Resources>,
        #[prost(message, optional, tag = "2")] security_context: Option<ContainerSecurity>,
    }
    ContainerSecurity {
        #[prost(message, optional, tag = "1")] capabilities: Option<Capabilities>,
        #[prost(message, optional, tag = "3")] namespaces: Option<Namespaces>,
        #[prost(message, optional, tag = "5")] user: Option<Number>,
    }
    Capabilities {
        #[prost(string, repeated, tag = "1")] add: Vec<String>,
    }
    Number {
        #[prost(int64, tag = "1")] value: i64,
    }
    Resources {
        #[prost(int64, tag = "4")] memory_limit: i64,
    }
    CdiDevice {
        #[prost(string, tag = "1")] name: String,
    }
    ContainerId {
        #[prost(string, tag = "1")] container: String,
    }
    ExecSync {
        #[prost(string, tag = "1")] container: String,
        #[prost(string, repeated, tag = "2")] command: Vec<String>,
        #[prost(int64, tag = "3")] timeout: i64,
    }
    ExecSyncAnswer {
        #[prost(bytes = "vec", tag = "1")] stdout: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] stderr: Vec<u8>,
        #[prost(int32, tag = "3")] exit_code: i32,
    }
    UpdateResources {
        #[prost(string, tag = "1")] container: String,
        #[prost(message, optional, tag = "2")] linux: Option<Resources>,
    }
    StatusRequest {
        #[prost(bool, tag = "1")] verbose: bool,
    }
    Nothing {
        #[prost(map = "string, string", tag = "15")] unread: HashMap<String, String>,
    }
}

/// A connection to containerd.
pub struct Cri {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    pub fn connect() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let endpoint = Endpoint::from_static("unix:///run/containerd/containerd.sock");
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, channel }
    }

    /// Calls a method of the RuntimeService.
    pub fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, tonic::Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let path = format!("/runtime.v1.RuntimeService/{method}");
        let path = PathAndQuery::try_from(path).unwrap();
        let mut client = Grpc::new(self.channel.clone());
        self.runtime.block_on(async {
            client
                .ready()
                .await
                .map_err(|err| tonic::Status::unknown(err.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = client
                .unary(tonic::Request::new(request), path, codec)
                .await?;
            Ok(answer.into_inner())
        })
    }
}
