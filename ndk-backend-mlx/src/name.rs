//! Adapters by name.

use crate::adapter::{Config, MlxAdapter};
use ndk_core::backend::{BackendName, Options};
use ndk_core::{BoxedAdapter, Error, ErrorKind, Result};

/// A factory for a [`Registry`](ndk_core::backend::Registry): `mlx` opens the first device that can be used, `mlx:NAME`
/// the device of that name, for instance `mlx:mlx5_0` or `mlx:rxe0`.
///
/// Options: `mappings`, `address`.
pub fn factory(name: &BackendName) -> Result<BoxedAdapter> {
    Ok(BoxedAdapter::new(MlxAdapter::open(read(name)?)?))
}

fn read(name: &BackendName) -> Result<Config> {
    let mut options = Options::of(name);
    let pending = options.take_with(
        "mappings",
        "inline or pending: whether BuildLAM makes its kernel calls on the caller's thread, or pends; default inline",
        |value| match value {
            "inline" => Ok(false),
            "pending" => Ok(true),
            _ => Err(Error::new(ErrorKind::InvalidParameter, "it is neither inline nor pending")),
        },
    )?;
    let address = options.take(
        "address",
        "an IP address of the device: queue pairs connect by address, through librdmacm, also between hosts",
    )?;
    options.finish()?;
    Ok(Config {
        device: name.instance().map(String::from),
        pending_mappings: pending.unwrap_or(false),
        address,
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> Result<Config> {
        read(&name.parse().unwrap())
    }

    #[test]
    fn the_instance_is_the_device_and_options_are_known_or_refused() {
        assert_eq!(config("mlx"), Ok(Config::default()));
        assert_eq!(config("mlx:rxe0").unwrap().device.as_deref(), Some("rxe0"));
        assert!(config("mlx?mappings=pending").unwrap().pending_mappings);
        assert!(!config("mlx:rxe0?mappings=inline").unwrap().pending_mappings);
        let address = config("mlx:rxe1?address=10.9.1.1").unwrap().address;
        assert_eq!(address, Some("10.9.1.1".parse().unwrap()));
        let unknown = config("mlx?mapings=inline").unwrap_err();
        assert!(unknown.detail().contains("mappings: inline or pending"), "{unknown}");
        let wrong = config("mlx?mappings=later").unwrap_err();
        assert!(wrong.detail().contains("neither inline nor pending"), "{wrong}");
    }
}
