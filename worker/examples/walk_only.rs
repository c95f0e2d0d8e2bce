//! Times the directory walk alone: `walk_only PATH [THREADS]`.

use std::time::Instant;

use strongroom_worker::exclude::{Excludes, Filter};
use strongroom_worker::filesystem::Root;
use strongroom_worker::sources::Sources;
use strongroom_worker::walk::{Contents, Territory, Walk};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let threads: usize = arguments.get(2).map_or(2, |text| text.parse().unwrap());
    for _ in 0..5 {
        let start = Instant::now();
        let root = Root::of_host().unwrap();
        let sources = Sources::resolve(root.path(), &[arguments[1].clone().into()]).unwrap();
        let filter = Filter::new(&Excludes::default()).unwrap();
        let walk = Walk::new(Territory { root: &root, sources: &sources, filter: &filter, state: None });
        let mut nodes = 0;
        let mut bytes = 0;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| walk.work());
            }
            let mut consumer = walk.consumer();
            while let Some(listing) = consumer.next_listing().unwrap() {
                if let Contents::Listed(listed) = listing.contents {
                    nodes += listed.len();
                    bytes += listed.iter().map(|(_, node)| node.stat.size).sum::<u64>();
                }
            }
        });
        #[expect(clippy::print_stdout, reason = "it is a program")]
        {
            println!("{nodes} nodes, {bytes} bytes, {:?}", start.elapsed());
        }
    }
}
