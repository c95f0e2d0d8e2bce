//! One test for each case and each store.

/// `name: expression;` where the expression makes a `Fixture`, or gives none where its server is missing and has said so.
macro_rules! conformance {
    ($($name:ident: $fixture:expr;)*) => { $(
        mod $name {
            use super::*;

            conformance!(@cases $fixture;
                racers_have_one_winner parallel_puts_all_arrive existing_objects_stay
                ranges_are_honoured several_ranges_at_once ranges_past_the_end empty_objects
                a_large_object heads_tell_the_size listings_keep_to_their_folder
                listings_one_level_deep listings_from_a_name_on absent_objects deletions
                what_is_not_offered_is_refused the_probe_is_content
                plain_threads_may_call plain_threads_may_delete);
        }
    )* };
    (@cases $fixture:expr; $($case:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(fixture) = Option::<Fixture>::from($fixture) else { return };
            crate::cases::$case(&fixture.store).await;
        }
    )* };
}
