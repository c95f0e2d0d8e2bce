//! Whose data are meant, where somebody names a plan instead of a host.

use strongroom_plans::{FleetPlan, Input, Site, Source};
use strongroom_proto::operator::RestoreRequest;

use crate::operator::Refused;

/// `TIME@PLAN` becomes `TIME@HOST:/SOURCE`, where the plan leaves no doubt; what names a host, or nothing that is known, stays as it is.
pub fn with_plan_resolved(request: RestoreRequest, site: &Site) -> Result<RestoreRequest, Refused> {
    let Some((point, place)) = request.snapshot.split_once('@') else { return Ok(request) };
    let (name, path) = place.split_once(':').map_or((place, None), |(name, path)| (name, Some(path)));
    let is_host = || site.hosts().values().any(|host| host.name().as_str() == name);
    let plan = site.plans().values().find(|plan| plan.name().as_str() == name);
    let Some(plan) = plan.filter(|_| !is_host()) else { return Ok(request) };
    let [host] = plan.hosts() else {
        let hosts: Vec<&str> = plan.hosts().iter().map(|host| host.as_str()).collect();
        let why = format!("the plan {name} backs up {}: name the host whose data are meant", hosts.join(", "));
        return Err(Refused::Unfit(why));
    };
    let path = path.map_or_else(|| only_path(plan), |path| Ok(path.to_owned()))?;
    let snapshot = format!("{point}@{host}:{path}");
    Ok(RestoreRequest { snapshot, ..request })
}

/// A path of the plan's one source, by which its snapshots are told from others of the host.
fn only_path(plan: &FleetPlan) -> Result<String, Refused> {
    let [source] = plan.plan().sources() else {
        let why = format!("the plan {} has several sources, each with snapshots of its own: name a PATH", plan.name());
        return Err(Refused::Unfit(why));
    };
    Ok(first_path(source))
}

fn first_path(source: &Source) -> String {
    match source.input() {
        Input::Files(files) => files.files().first().map(ToString::to_string).unwrap_or_default(),
        Input::Command(command) => command.name().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::SiteFiles;

    use super::*;

    const PLAN: &str = "kind: backup\nrepository: main\nretain: { daily: 1 }\n";

    #[track_caller]
    fn check(snapshot: &str, expect: Result<&str, &str>) {
        let mut files = SiteFiles::new("");
        files.insert("site.yaml", "name: x\nzone: UTC\nrepositories: { main: { at: /srv/r } }\n");
        files.insert("hosts.yaml", "hosts: { db1: { address: 10.0.0.1 }, db2: { address: 10.0.0.2 } }\n");
        let billing = "name: billing\nhosts: name=db1\nsources: [{ files: [/srv/billing, /etc/billing] }]\n";
        files.insert("plans/billing.yaml", format!("{PLAN}{billing}"));
        let all = "name: all\nhosts: \"*\"\nsources: [{ files: [/etc] }]\n";
        files.insert("plans/all.yaml", format!("{PLAN}{all}"));
        let two = "name: two\nhosts: name=db2\nsources: [{ files: [/srv] }, { files: [/var] }]\n";
        files.insert("plans/two.yaml", format!("{PLAN}{two}"));
        let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
        let request = RestoreRequest { snapshot: snapshot.into(), ..RestoreRequest::default() };
        let found = with_plan_resolved(request, &site).map(|request| request.snapshot);
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect),
            (Err(why), Err(expect)) => assert!(why.to_string().contains(expect), "{why}"),
            (found, expect) => panic!("{found:?}, not {expect:?}"),
        }
    }

    #[test]
    fn a_plan_of_one_host_and_one_source_says_whose_data_are_meant() {
        check("2026-11-21@billing", Ok("2026-11-21@db1:/srv/billing"));
        check("2026-11-21@billing:/etc/billing", Ok("2026-11-21@db1:/etc/billing"));
        check("latest@db1", Ok("latest@db1"));
        check("latest@nobody", Ok("latest@nobody"));
        check("latest", Ok("latest"));
        check("latest@all", Err("db1, db2: name the host"));
        check("latest@two", Err("several sources"));
        check("latest@two:/var", Ok("latest@db2:/var"));
    }
}
