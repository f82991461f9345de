//! Backends by name: what a registry finds, and what it says where it finds nothing.

use ndk_core::abi::{NDK_ADAPTER_INFO, NDK_VERSION};
use ndk_core::backend::{BackendName, Options, Registry};
use ndk_core::{
    Access, AdapterProvider, BaseAddress, BoxedAdapter, Capabilities, Error, ErrorKind, Executor,
    LocalToken, MrProvider, NoQueuePair, NoWindow, Refusal, RegionKind, RemoteToken, Result, Task,
    TokenReuse, mdl,
};
use std::sync::Arc;

const V2: NDK_VERSION = NDK_VERSION { Major: 2, Minor: 0 };

/// An adapter with a name and nothing behind it.
struct Hollow(String);

struct NoRegion;

impl AdapterProvider for Hollow {
    type Pd = ();
    type Mr = NoRegion;
    type Qp = NoQueuePair<NoRegion>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        &self.0
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            base_address: BaseAddress::Any,
            scattered_pages: true,
            byte_exact: true,
            remote_read_enforced: true,
            read_sink_grants_write: false,
            refusal: Refusal::Completion,
            partial_writes: false,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: false,
            fast_registration: None,
            windows: false,
        }
    }

    async fn create_pd(&self) -> Result<()> {
        Ok(())
    }

    async fn close_pd(&self, (): &()) {}

    async fn create_mr(&self, (): &(), _kind: RegionKind) -> Result<NoRegion> {
        Err(ErrorKind::NotSupported.into())
    }
}

impl MrProvider for NoRegion {
    async fn register(&self, _memory: mdl::MdlView<'_>, _access: Access) -> Result<()> {
        Err(ErrorKind::NotSupported.into())
    }

    async fn deregister(&self) -> Result<()> {
        Err(ErrorKind::NotSupported.into())
    }

    async fn initialize_fast_register(&self, _pages: u32, _remote: bool) -> Result<()> {
        Err(ErrorKind::NotSupported.into())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        None
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        None
    }
}

fn hollow(name: &BackendName) -> Result<BoxedAdapter> {
    let mut options = Options::of(name);
    let called: Option<String> = options.take("called", "the adapter's name")?;
    options.finish()?;
    Ok(BoxedAdapter::new(Hollow(called.unwrap_or_else(|| "hollow0".into()))))
}

fn backends() -> Registry {
    Registry::new()
        .with("hollow", "an adapter with nothing behind it", hollow)
        .with("broken", "a factory that panics", |_| panic!("no such luck"))
        .with("gone", "a device that is not there", |name| {
            let instance = name.instance().unwrap_or("any device");
            Err(Error::new(ErrorKind::DeviceRemoved, format!("{instance} is unplugged")).rule("H8"))
        })
        .without("card", "a network card", "built without the feature `card`")
}

struct Nowhere;

impl Executor for Nowhere {
    fn spawn(&self, task: Task) {
        drop(task);
    }
}

fn open(name: &str) -> Result<String> {
    let opened = backends().open(name, Arc::new(Nowhere), V2)?;
    Ok(opened.provider().name().into())
}

#[test]
fn a_known_name_opens_with_its_options() {
    assert_eq!(open("hollow").unwrap(), "hollow0");
    assert_eq!(open("hollow?called=left%20one").unwrap(), "left one");
}

#[test]
fn an_unknown_name_is_not_supported_and_lists_what_is_there_and_what_is_not() {
    let error = open("hollwo?called=x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert_eq!(
        error.detail(),
        "there is no backend \"hollwo\"; the backends are:
  hollow: an adapter with nothing behind it
  broken: a factory that panics
  gone: a device that is not there
  card: a network card (not available: built without the feature `card`)"
    );
    let nothing = Registry::new().adapter("sim").unwrap_err();
    assert_eq!(nothing.detail(), "there is no backend \"sim\"; this program knows no backends");
}

#[test]
fn a_backend_that_was_left_out_says_why() {
    let error = open("card:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    let start =
        "the backend card is not available: built without the feature `card`; the backends are:";
    assert!(error.detail().starts_with(start), "{error}");
}

#[test]
fn a_backend_that_does_not_open_keeps_its_status_and_says_what_else_there_is() {
    let error = open("gone:eth3").unwrap_err();
    assert_eq!((error.kind(), error.rule_id()), (ErrorKind::DeviceRemoved, "H8"));
    let start =
        "the backend gone did not open gone:eth3: eth3 is unplugged; the backends are:\n  hollow:";
    assert!(error.detail().starts_with(start), "{error}");
}

#[test]
fn a_factory_that_panics_is_an_error() {
    let error = open("broken").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.detail().contains("its factory panicked"), "{error}");
}

#[test]
fn an_option_at_fault_is_told_without_the_other_backends() {
    let error = open("hollow?caled=x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParameter);
    assert_eq!(
        error.detail(),
        "the backend hollow has no option \"caled\"; it has:\n  called: the adapter's name"
    );
}

#[test]
fn a_later_backend_of_a_scheme_takes_the_place_of_the_earlier() {
    let backends = backends().with("card", "a card after all", hollow);
    assert_eq!(backends.schemes().collect::<Vec<_>>(), ["hollow", "broken", "gone", "card"]);
    assert!(backends.adapter("card").is_ok());
    assert!(!backends.to_string().contains("not available"));
}

#[test]
fn a8_a_version_that_is_not_served_is_refused() {
    let old = NDK_VERSION { Major: 3, Minor: 0 };
    let error = backends().open("hollow", Arc::new(Nowhere), old).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadVersion);
}
