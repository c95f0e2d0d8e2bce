//! What has to be read goes to the lanes, in jobs.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;

use super::{Listed, Merger, Open};
use crate::backup::BackupError;
use crate::backup::hardlinks::Role;
use crate::filesystem::Stat;
use crate::read::{Job, Target, Targets};
use crate::walk::Nodes;

/// Jobs that were handed out and are not yet written. While one lane reads a large file, the others may get this far ahead: about a MiB each.
const JOBS_AHEAD_MAX: usize = 64;

/// Nodes of one job, so that empty files do not make a job endless.
const JOB_NODES_MAX: usize = 512;

/// Nodes for the next job.
#[derive(Default)]
pub(super) struct Batch {
    targets: Vec<Targets>,
    nodes: usize,
    bytes: u64,
}

impl Merger<'_> {
    /// Takes in a directory that changed, and hands out those of its nodes that have to be looked at.
    pub(super) fn feed(&mut self, directory: Arc<[u8]>, depth: u32, nodes: Nodes) -> Result<(), BackupError> {
        let count = nodes.len();
        self.open_nodes += count + 1;
        self.running.expect(count as u64, nodes.iter().map(|(_, node)| node.stat.content_bytes()).sum());
        let listed = Listed { directory: Arc::clone(&directory), depth, nodes, next: 0, followers: VecDeque::new() };
        self.open.push_back(Open::Listed(Box::new(listed)));
        for at in 0..count {
            self.fed = at;
            // Handing out may write what came before, but this directory stays the last until all of it is handed out.
            let Some((name, stat)) = self.fresh_node(at) else { continue };
            match self.links.admit(&stat) {
                Role::Follower => self.add_follower(at),
                Role::Reader => self.hand_out(&directory, Target { name, stat })?,
            }
        }
        self.fed = count;
        Ok(())
    }

    /// A node of the last directory, if a lane has to look at it.
    fn fresh_node(&self, at: usize) -> Option<(CString, Stat)> {
        let Some(Open::Listed(listed)) = self.open.back() else { return None };
        let (name, node) = listed.nodes.get(at).filter(|(_, node)| node.unchanged.is_none())?;
        Some((CString::new(name).ok()?, node.stat))
    }

    fn add_follower(&mut self, at: usize) {
        if let Some(Open::Listed(listed)) = self.open.back_mut() {
            listed.followers.push_back(at);
        }
    }

    fn hand_out(&mut self, directory: &Arc<[u8]>, target: Target) -> Result<(), BackupError> {
        let parameters = self.running.repository.parameters();
        let bytes = target.stat.content_bytes();
        // A large file is a job of its own, so that what stands before it need not wait for it.
        let is_large = bytes >= u64::from(parameters.large_file);
        if is_large {
            self.send_batch()?;
        }
        match self.batch.targets.last_mut() {
            Some(last) if last.directory == *directory => last.nodes.push(target),
            _ => self.batch.targets.push(Targets { directory: Arc::clone(directory), nodes: vec![target] }),
        }
        self.batch.nodes += 1;
        self.batch.bytes += bytes;
        if is_large || self.batch.nodes >= JOB_NODES_MAX || self.batch.bytes >= u64::from(parameters.frame_target) {
            self.fed += 1;
            self.send_batch()?;
        }
        Ok(())
    }

    pub(super) fn send_batch(&mut self) -> Result<(), BackupError> {
        if self.batch.nodes == 0 {
            return Ok(());
        }
        while self.in_flight.len() >= JOBS_AHEAD_MAX {
            self.wait_for_front()?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.in_flight.push_back(self.pool.submit(Job::Nodes(batch.targets)));
        Ok(())
    }
}
