//! Who may do what: every role with every act, on its own hosts and on others.

use std::error::Error;

use strongroom_controller::journal::Who;
use strongroom_controller::permissions::{Act, Forbidden, Object, Sight, permit, sight};
use strongroom_plans::{Role, Site, SiteFiles};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Nobody of the tests has it, and the controller runs as it.
const CONTROLLER: u32 = 990;

const HOSTS: &str = "hosts:\n  north: { address: 10.0.0.1, labels: { tenant: north } }\n  south: { address: 10.0.0.2, labels: { tenant: south } }\n";

/// Each role is held by two people: one has it for the whole site, one for the north.
fn site() -> Result<Site> {
    let person = |role: Role| {
        let word = role.word();
        format!(
            "  {word}: {{ users: [{word}-all], roles: {{ {word}: \"*\" }} }}\n  north-{word}: {{ users: [{word}-north], roles: {{ {word}: tenant=north }} }}\n"
        )
    };
    let people: String = Role::ALL.into_iter().map(person).collect();
    read(&format!("name: test\nzone: UTC\npeople:\n{people}"))
}

fn read(site: &str) -> Result<Site> {
    let mut files = SiteFiles::new("");
    files.insert("site.yaml", site);
    files.insert("hosts.yaml", HOSTS);
    Ok(Site::read(&files)?)
}

fn user(name: &str) -> Who {
    Who { uid: 1000, name: Some(name.to_owned()), person: None, organisation: None }
}

/// The matrix as the README has it.
const MATRIX: &str = "\
              viewer operator on-call approver owner security auditor
see           yes    yes      yes     yes      yes   yes      yes
run           -      yes      yes     -        -     -        -
restore       -      yes      yes     -        -     -        -
request       -      yes      yes     -        yes   -        -
approve       -      -        -       yes      yes   -        -
break-glass   -      -        yes     -        -     -        -
maintain      -      yes      -       -        -     -        -
load-site     -      -        -       -        -     yes      -
test-notices  -      -        -       -        -     yes      -
read-journal  -      -        -       -        -     -        yes
";

fn expected(act: Act, role: Role) -> bool {
    let mut lines = MATRIX.lines().map(str::split_whitespace);
    let column = lines.next().and_then(|mut head| head.position(|word| word == role.word())).expect("the role");
    let mut row = lines.find_map(|mut row| (row.next() == Some(act.word())).then_some(row)).expect("the act");
    row.nth(column) == Some("yes")
}

#[test]
fn every_cell_of_the_matrix_is_what_is_written() -> Result<()> {
    let site = site()?;
    let [north, south] = ["north", "south"].map(|name| Object::Host(&site.hosts()[&name.parse().expect("a name")]));
    for (act, role) in Act::ALL.into_iter().flat_map(|act| Role::ALL.map(|role| (act, role))) {
        let may = |who: &str, object| permit(&site, &user(who), CONTROLLER, act, object).is_ok();
        let [all, own] = ["all", "north"].map(|what| format!("{role}-{what}"));
        let expect = expected(act, role);
        for object in [Object::Site, north, south, Object::Any] {
            assert_eq!(may(&all, object), expect, "{role} for all: {act:?} {object}");
        }
        let found = [Object::Site, north, south, Object::Any].map(|object| may(&own, object));
        assert_eq!(found, [false, expect, false, expect], "{role} of the north: {act:?}");
    }
    Ok(())
}

#[test]
fn strangers_may_nothing_and_the_controllers_own_account_what_its_files_allow() -> Result<()> {
    let site = site()?;
    for act in Act::ALL {
        let stranger = permit(&site, &user("mallory"), CONTROLLER, act, Object::Any);
        assert_eq!(stranger, Err(Forbidden::Stranger("mallory".into())));
        let nameless = Who { name: None, ..user("") };
        assert!(permit(&site, &nameless, CONTROLLER, act, Object::Any).is_err());
        for uid in [0, CONTROLLER] {
            assert_eq!(permit(&site, &Who { uid, ..user("root") }, CONTROLLER, act, Object::Site), Ok(()));
        }
    }
    let nobody = read("name: test\nzone: UTC\n")?;
    assert_eq!(permit(&nobody, &user("mallory"), CONTROLLER, Act::Maintain, Object::Site), Ok(()));
    Ok(())
}

#[test]
fn one_sees_the_hosts_that_one_is_there_for() -> Result<()> {
    let site = site()?;
    assert_eq!(sight(&site, &user("viewer-all"), CONTROLLER), Sight::Everything);
    let north = sight(&site, &user("viewer-north"), CONTROLLER);
    assert!(north.has("north") && !north.has("south") && !north.has("gone"));
    Ok(())
}
