use std::fmt;
use std::str::FromStr;

/// Where the bytes of a block live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// Host memory.
    Cpu,
    /// Device memory, reached through a staging buffer.
    Gpu,
}

impl Device {
    /// The devices that this build can use, the preferred one first.
    pub const AVAILABLE: &'static [Device] = &[
        #[cfg(feature = "cpu")]
        Device::Cpu,
        #[cfg(feature = "gpu")]
        Device::Gpu,
    ];

    /// Says whether this build can use the device.
    pub fn is_available(self) -> bool {
        Self::AVAILABLE.contains(&self)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
        })
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cpu" => Ok(Device::Cpu),
            "gpu" => Ok(Device::Gpu),
            other => Err(format!("expected cpu or gpu, found {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for device in [Device::Cpu, Device::Gpu] {
            assert_eq!(Ok(device), device.to_string().parse());
        }
        assert!("tpu".parse::<Device>().is_err());
    }

    #[test]
    fn features_decide_what_is_available() {
        assert_eq!(cfg!(feature = "cpu"), Device::Cpu.is_available());
        assert_eq!(cfg!(feature = "gpu"), Device::Gpu.is_available());
    }
}
