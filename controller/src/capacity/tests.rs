use super::*;

const GIB: f64 = 1_073_741_824.0;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// A disk of 1000 GiB over 60 days: a steady growth with a weekly rhythm, a prune every two weeks, and a few days on which somebody else's file lay there.
fn sixty_days(grows_gib_a_day: f64) -> (Date, Measures) {
    let first = day("2026-09-01");
    let mut measures = Measures::default();
    for number in 0..60i64 {
        let steady = 200.0 + grows_gib_a_day * number as f64;
        let rhythm = if number % 7 < 5 { grows_gib_a_day * 0.8 } else { -grows_gib_a_day };
        // Between two prunes, garbage piles up.
        let garbage = 3.0 * (number % 14) as f64;
        let foreign = if [11, 12, 40].contains(&number) { 300.0 } else { 0.0 };
        let used = ((steady + rhythm + garbage + foreign) * GIB) as u64;
        let total = (1000.0 * GIB) as u64;
        let measure = Measure {
            stored_bytes: Some(used - (100.0 * GIB) as u64),
            free_bytes: Some(total - used),
            total_bytes: Some(total),
        };
        measures.note(first.checked_add(number.days()).unwrap(), measure);
    }
    (first.checked_add(59.days()).unwrap(), measures)
}

#[test]
fn the_day_when_it_is_full_is_foreseen_within_a_fifth() {
    for grows in [2.0, 5.0, 8.0] {
        let (today, measures) = sixty_days(grows);
        let found = &outlook(today, &measures, None, &[])[0];
        let truth = found.free_bytes as f64 / GIB / grows;
        let foreseen = f64::from((found.full_on.unwrap() - today).get_days());
        assert!((foreseen / truth - 1.0).abs() < 0.2, "{grows} GiB a day: {truth} days are left, foreseen {foreseen}");
        assert_eq!((found.wall, found.basis, found.basis_days), (Wall::Disk, Some(Basis::Measured), Some(59)));
    }
}

#[test]
fn the_wall_that_is_met_first_comes_first() {
    let (today, measures) = sixty_days(5.0);
    let quota = |gib: f64| Some((gib * GIB) as u64);
    let walls = |quota| outlook(today, &measures, quota, &[]).iter().map(|outlook| outlook.wall).collect::<Vec<_>>();
    assert_eq!(walls(None), [Wall::Disk]);
    assert_eq!(walls(quota(600.0)), [Wall::Quota, Wall::Disk]);
    assert_eq!(walls(quota(5000.0)), [Wall::Disk, Wall::Quota]);
    let full = &outlook(today, &measures, quota(100.0), &[])[0];
    assert_eq!((full.wall, full.full_on, full.free_bytes), (Wall::Quota, Some(today), 0));
    assert!(full.used_part() >= 1.0);
}

#[test]
fn what_does_not_grow_is_never_full_and_a_short_memory_asks_the_snapshots() {
    let today = day("2026-11-22");
    let mut measures = Measures::default();
    let measure = Measure { stored_bytes: Some(10), free_bytes: Some(1000), total_bytes: Some(2000) };
    (0..30i64).for_each(|ago| measures.note(today.checked_sub(ago.days()).unwrap(), measure));
    let still = &outlook(today, &measures, None, &[])[0];
    assert_eq!((still.growth_bytes_a_day, still.full_on), (Some(0.0), None));
    let mut short = Measures::default();
    short.note(today, measure);
    let added: Vec<(Date, u64)> = (0..20i64).rev().map(|ago| (today.checked_sub(ago.days()).unwrap(), 50)).collect();
    let found = &outlook(today, &short, None, &added)[0];
    assert_eq!(
        (found.growth_bytes_a_day, found.basis, found.basis_days),
        (Some(50.0), Some(Basis::Snapshots), Some(19))
    );
    assert_eq!(found.full_on, Some(day("2026-12-12")));
    assert_eq!(outlook(today, &short, None, &[])[0].growth_bytes_a_day, None);
    assert!(outlook(today, &Measures::default(), Some(5), &added).is_empty());
}

#[test]
fn measures_are_kept_by_day_and_survive_bad_lines() {
    let mut measures = Measures::default();
    let full = Measure { stored_bytes: Some(1), free_bytes: Some(2), total_bytes: Some(3) };
    measures.note(day("2026-11-21"), full);
    measures.note(day("2026-11-21"), Measure { free_bytes: Some(5), ..Measure::default() });
    measures.note(day("2026-11-22"), Measure { stored_bytes: Some(9), ..Measure::default() });
    let text = measures.to_text();
    assert_eq!(text, "2026-11-21 stored=1 free=5 total=3\n2026-11-22 stored=9 free=- total=-\n");
    let spoiled = format!("nonsense\n2026-13-01 stored=1 free=1 total=1\n2026-11-20 stored=\n{text}");
    assert_eq!(Measures::parse(&spoiled), measures);
    (0..900i64).for_each(|number| measures.note(day("2030-01-01").checked_add(number.days()).unwrap(), full));
    assert_eq!(measures.iter().count(), DAYS_KEPT);
}

/// As the module's own bound.
const DAYS_KEPT: usize = 800;

#[test]
fn levels_are_read_and_reached() {
    let levels = AlarmLevels::default();
    let reached = [0.5, 0.75, 0.849, 0.85, 0.96, 1.2].map(|used| levels.reached(used));
    assert_eq!(reached, [None, Some(75), Some(75), Some(85), Some(95), Some(95)]);
    assert_eq!(AlarmLevels::parse("75, 85,95"), Ok(levels));
    for text in ["", "0", "101", "85,75", "75,75", "a"] {
        assert!(AlarmLevels::parse(text).is_err(), "{text}");
    }
}
