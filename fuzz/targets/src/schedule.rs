//! The protocol's own machines over the simulated kernel, in the order that the bytes say: no property is ever broken. With a
//! step left out, or with a lock that is known to be broken, one is: those are the controls.

use session_lock_stress::model::{Ablation, Control, Mix, Scenario, Schedule, Suite};

/// What is played.
#[derive(Clone, Debug)]
pub struct Subject {
    name: &'static str,
    scenarios: Vec<Scenario>,
}

impl Subject {
    /// The complete protocol: wherever something left out of it would break a property, with two arbiters, and in the usual
    /// mixes of tasks, sweepers, readers, older peers and operators; and the mended form of each lock that is known to be broken.
    #[must_use]
    pub fn protocol() -> Self {
        let mut scenarios = Vec::new();
        let exposing = Ablation::ALL.iter().map(|ablation| Scenario::exposing(*ablation).complete());
        let mixes = Mix::ALL.iter().filter(|mix| mix.suite < Suite::Deep).map(|mix| mix.scenario);
        let mended = Control::ALL.iter().map(|control| control.mended());
        for scenario in exposing.chain(mixes).chain(mended) {
            let keeps_spares = scenario.processes > 0;
            let spareless = keeps_spares.then(|| scenario.without_spares());
            for scenario in [Some(scenario), spareless].into_iter().flatten() {
                if !scenarios.contains(&scenario) {
                    scenarios.push(scenario);
                }
            }
        }
        Self { name: "protocol", scenarios }
    }

    /// Everything that has to be found: the locks that are known to be broken, and each step left out that breaks something.
    #[must_use]
    pub fn controls() -> Vec<Self> {
        let locks =
            Control::ALL.iter().map(|control| Self { name: control.name(), scenarios: vec![control.scenario()] });
        let steps = Ablation::ALL.iter().filter(|ablation| ablation.reason_to_stay().is_none()).map(|ablation| {
            let scenario = Scenario::exposing(*ablation);
            Self { name: ablation.name(), scenarios: vec![scenario, scenario.without_spares()] }
        });
        locks.chain(steps).collect()
    }

    /// The subject that `SCHEDULE_CONTROL` names, or the protocol where it is not set.
    ///
    /// # Panics
    ///
    /// If it names none.
    #[must_use]
    pub fn from_environment() -> Self {
        let Ok(name) = std::env::var("SCHEDULE_CONTROL") else { return Self::protocol() };
        let known = Self::controls();
        let names: Vec<&str> = known.iter().map(|control| control.name).collect();
        let control = known.into_iter().find(|control| control.name == name);
        control.unwrap_or_else(|| panic!("SCHEDULE_CONTROL={name}: there are {}", names.join(", ")))
    }

    /// Its name: the protocol, or what is left out of it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Plays one input: the first byte chooses the scenario, the others are the schedule. `watch` is shown a fingerprint of
    /// each state.
    ///
    /// # Panics
    ///
    /// With the counterexample, if a property is broken.
    pub fn play(&self, bytes: &[u8], watch: &mut dyn FnMut(u128)) {
        let Some((first, schedule)) = bytes.split_first() else { return };
        let scenario = &self.scenarios[usize::from(*first) % self.scenarios.len()];
        if let Some(counterexample) = Schedule(schedule).play_watched(scenario, watch) {
            panic!("{}: {counterexample}", self.name);
        }
    }
}

/// Runs the target on one input, with the complete protocol.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    thread_local!(static PROTOCOL: Subject = Subject::protocol());
    PROTOCOL.with(|protocol| protocol.play(bytes, &mut |_| {}));
}
