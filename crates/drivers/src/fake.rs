//! The row of the fake driver.

use crate::{Availability, DriverRow, Error, Result, parse};
use driver_api::ComputeDriver;
use driver_fake::{Fake, Options};
use serde_json::Value;

const NAME: &str = "fake";

pub(crate) const ROW: DriverRow = DriverRow {
    name: NAME,
    describe: "simulated hosts: the whole API without a hypervisor",
    wires_ports: false,
    probe: |_| Availability::yes("needs nothing"),
    validate: |options| read(options).map(drop),
    make: |options| Ok(Box::new(read(options)?) as Box<dyn ComputeDriver>),
};

fn read(options: &Value) -> Result<Fake> {
    let options: Options = parse(NAME, options)?;
    Fake::new(options)
        .map_err(|e| Error::Options { driver: NAME, problem: format!("`{}`: {}", e.option, e.problem) })
}
