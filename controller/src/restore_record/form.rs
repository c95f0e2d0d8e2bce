//! A record as a form for people: headings, facts and tables, in one language. What it looks like on paper is `page`'s.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Check, CheckVerdict, Checked, RestoreRecord};
use crate::requests::Approval;
use crate::restores::{RestoreEnding, is_kept};

/// A language that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

/// A record, ready to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) language: Language,
    pub(super) title: &'static str,
    pub(super) sections: Vec<Section>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// Words at the top of the columns; none where each row is a name and a value.
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its code (BCP 47), as in the names of files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    fn say(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

/// Sets a record in a language.
pub(super) fn form(record: &RestoreRecord, language: Language) -> Form {
    let setter = Setter { record, language, zone: TimeZone::get(&record.zone).unwrap_or(TimeZone::UTC) };
    let sections = vec![
        setter.result(),
        setter.request(),
        setter.approvals(),
        setter.data(),
        setter.times(),
        setter.checks(),
        setter.findings(),
        setter.evidence(),
    ];
    let sections = sections.into_iter().filter(|section| !section.rows.is_empty()).collect();
    Form { language, title: language.say("Data restore record", "数据恢复记录表"), sections }
}

struct Setter<'r> {
    record: &'r RestoreRecord,
    language: Language,
    zone: TimeZone,
}

impl Setter<'_> {
    fn say(&self, english: &'static str, chinese: &'static str) -> &'static str {
        self.language.say(english, chinese)
    }

    fn time(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    fn length(&self, seconds: i64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let days = if days > 0 { format!("{days} {} ", self.say("d", "天")) } else { String::new() };
        format!("{days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }

    /// A time, against its objective where the plan has one.
    fn measured(&self, name: &str, seconds: i64, objective: Option<u64>) -> String {
        let length = self.length(seconds);
        let Some(objective) = objective else { return length };
        let verdict = match is_kept(seconds, objective) {
            true => self.say("kept", "达标"),
            false => self.say("MISSED", "超标"),
        };
        let at_most = self.say("of at most", "目标不超过");
        let objective = self.length(i64::try_from(objective).unwrap_or(i64::MAX));
        format!("{length}; {name} {at_most} {objective}: {verdict}")
    }

    fn facts(&self, title: &'static str, facts: Vec<(&'static str, String)>) -> Section {
        let rows = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        Section { title, head: Vec::new(), rows }
    }

    fn result(&self) -> Section {
        let record = self.record;
        let mut facts = vec![
            (self.say("Record", "记录编号"), record.restore.clone()),
            (self.say("Site", "站点"), record.site.clone()),
            (self.say("Result", "恢复结果"), self.ending().to_owned()),
        ];
        if let Some(failure) = &record.failure {
            facts.push((self.say("Cause", "原因"), plain(failure)));
        }
        self.facts(self.say("Result", "结果"), facts)
    }

    fn ending(&self) -> &'static str {
        match self.record.ending {
            RestoreEnding::Restored => self.say("restored and verified", "已恢复并通过校验"),
            RestoreEnding::Deviating => {
                self.say("restored and verified; metadata deviates", "已恢复并通过校验，元数据有偏差")
            }
            RestoreEnding::Unproven => self
                .say("restored and read back; a check of the plan does not agree", "已恢复并回读一致，方案检查未通过"),
            RestoreEnding::Partial => self.say("restored in part", "部分恢复"),
            RestoreEnding::Failed => self.say("failed", "恢复失败"),
            RestoreEnding::Cancelled => self.say("cancelled", "已取消"),
        }
    }

    fn request(&self) -> Section {
        let record = self.record;
        let mut facts = Vec::new();
        let mut asker = (&record.by, self.say("Requested by", "申请人"));
        if let Some(request) = &record.request {
            let scope = &request.application.scope;
            let by = if scope.break_glass { self.say("yes", "是") } else { self.say("no", "否") };
            facts = vec![
                (self.say("Number", "申请编号"), request.number.to_string()),
                (asker.1, plain(&request.by.to_string())),
                (self.say("Requested at", "申请时间"), self.time(request.at)),
                (self.say("Target class", "目标级别"), scope.class.word().to_owned()),
                (self.say("Approvals needed", "所需批准人数"), scope.approvals.to_string()),
                (self.say("Break-glass", "紧急通道"), by.to_owned()),
                (self.say("Hash of the plan (BLAKE3)", "方案哈希（BLAKE3）"), request.application.hash.clone()),
            ];
            asker.1 = self.say("Carried out by", "执行人");
        }
        facts.extend([
            (asker.1, plain(&asker.0.to_string())),
            (self.say("Organisation", "所属单位"), plain(record.by.organisation.as_deref().unwrap_or("-"))),
            (
                self.say("Account", "系统账号"),
                plain(&record.by.name.clone().unwrap_or_else(|| record.by.uid.to_string())),
            ),
            (self.say("Reason", "恢复原因"), plain(&record.reason)),
        ]);
        self.facts(self.say("Request", "申请"), facts)
    }

    /// Who agreed, where others had to.
    fn approvals(&self) -> Section {
        let approvals = self.record.request.iter().flat_map(|request| &request.approvals);
        let row = |approval: &Approval| {
            vec![
                plain(&approval.by.to_string()),
                plain(approval.by.organisation.as_deref().unwrap_or("-")),
                self.time(approval.at),
                self.time(approval.until),
                plain(approval.comment.as_deref().unwrap_or("-")),
            ]
        };
        let head = vec![
            self.say("Approved by", "批准人"),
            self.say("Organisation", "所属单位"),
            self.say("At", "批准时间"),
            self.say("Valid until", "有效期至"),
            self.say("Comment", "意见"),
        ];
        Section { title: self.say("Approvals", "审批"), head, rows: approvals.map(row).collect() }
    }

    fn data(&self) -> Section {
        let order = &self.record.order;
        let paths = match &order.paths[..] {
            [] => self.say("everything", "全部").to_owned(),
            paths => paths.join("\n"),
        };
        let mut facts = vec![
            (self.say("Data of host", "数据来源主机"), order.source.clone()),
            (self.say("Restore point", "恢复点"), self.time(order.time)),
            (self.say("Repository", "备份库"), order.repository.clone()),
            (self.say("Snapshot", "快照"), order.snapshot.clone()),
            (self.say("Paths", "恢复内容"), paths),
            (self.say("Restored on host", "目标主机"), order.host.clone()),
            (self.say("Directory", "目标目录"), order.target.clone()),
            (self.say("Existing files", "已有文件"), self.existing().to_owned()),
        ];
        if let Some(part) = &order.part {
            facts.push((self.say("Restore plan", "恢复预案"), format!("{}: {}", part.plan, part.system)));
            facts.push((self.say("Restore points of", "恢复点时间上限"), plain(&part.at)));
            let needs = if part.needs.is_empty() { "-".to_owned() } else { part.needs.join(", ") };
            facts.push((self.say("After", "先行系统"), needs));
        }
        if let Some(promotion) = self.record.request.as_ref().and_then(|request| request.promotion.as_ref()) {
            facts.push((self.say("Put in place at", "切换至"), promotion.to.clone()));
            facts.push((self.say("In place since", "切换时间"), self.time(promotion.at)));
            facts.push((self.say("Put in place by", "切换执行人"), plain(&promotion.by.to_string())));
            let aside = promotion.aside.clone().unwrap_or_else(|| "-".into());
            facts.push((self.say("What was there lies in", "原数据移至"), aside));
        }
        self.facts(self.say("Data", "恢复范围"), facts)
    }

    fn existing(&self) -> &'static str {
        let order = &self.record.order;
        match (order.overwrite.as_str(), order.set_aside) {
            ("never", _) => self.say("are left as they are", "保留不动"),
            (_, true) => self.say("are set aside", "移至旁存目录"),
            ("changed", false) => self.say("are replaced where they differ", "有差异者替换"),
            _ => self.say("are replaced", "全部替换"),
        }
    }

    fn times(&self) -> Section {
        let (times, objectives) = (&self.record.times, &self.record.order.objectives);
        let mut facts = vec![
            (self.say("Began", "开始时间"), self.time(times.began)),
            (self.say("Ended", "结束时间"), self.time(times.ended)),
            (
                self.say("Recovery time", "恢复用时"),
                self.measured("RTO", times.recovery_seconds, objectives.rto_seconds),
            ),
            (
                self.say("Data lost (from restore point to begin)", "数据丢失时长（恢复点至开始）"),
                self.measured("RPO", times.loss_seconds, objectives.rpo_seconds),
            ),
            (self.say("Taken up again", "续传次数"), times.resumed.to_string()),
        ];
        let phases = times.phases.iter().map(|(name, took)| format!("{name} {}.{:03} s", took / 1000, took % 1000));
        let phases: Vec<String> = phases.collect();
        if !phases.is_empty() {
            facts.push((self.say("Phases", "各阶段用时"), phases.join("\n")));
        }
        self.facts(self.say("Times", "用时"), facts)
    }

    fn checks(&self) -> Section {
        let row = |check: &Check| {
            vec![
                self.checked(check),
                check.expected.clone(),
                check.actual.split('\n').map(plain).collect::<Vec<_>>().join("\n"),
                self.verdict(check.verdict).to_owned(),
            ]
        };
        let head = vec![
            self.say("Check", "校验项"),
            self.say("Expected", "期望值"),
            self.say("Found", "实际值"),
            self.say("Verdict", "结论"),
        ];
        let rows = self.record.checks.iter().map(row).collect();
        Section { title: self.say("Verification", "校验"), head, rows }
    }

    /// What was looked at; of a command, which.
    fn checked(&self, check: &Check) -> String {
        let name = self.checked_by_name(check.check);
        check.command.as_ref().map_or_else(|| name.to_owned(), |command| format!("{name}: {}", plain(command)))
    }

    fn checked_by_name(&self, check: Checked) -> &'static str {
        match check {
            Checked::Content => self
                .say("Read back from the target, equal to the hash taken at the source", "从目标回读并与源端哈希一致"),
            Checked::Mismatches => self.say("Files that came back different", "回读不一致的文件"),
            Checked::Missing => self.say("Paths not restored", "未恢复的路径"),
            Checked::Kept => self.say("Existing files left as they were", "保留未动的已有文件"),
            Checked::Metadata => self.say("Metadata that deviates", "有偏差的元数据"),
            Checked::Command => self.say("Check of the plan", "方案检查"),
            Checked::Hook => self.say("Command of the restore plan", "恢复预案命令"),
            Checked::Probe => self.say("Probe of the restore plan", "恢复预案探测"),
            Checked::Medium => self.say("Read back past the cache", "绕过缓存回读"),
        }
    }

    fn verdict(&self, verdict: CheckVerdict) -> &'static str {
        match verdict {
            CheckVerdict::Passed => self.say("passed", "通过"),
            CheckVerdict::Failed => self.say("FAILED", "未通过"),
            CheckVerdict::NotProven => self.say("not proven", "未证实"),
        }
    }

    fn findings(&self) -> Section {
        let findings = &self.record.findings;
        let rows = match findings.is_empty() {
            true => vec![vec![self.say("none", "无").to_owned()]],
            false => findings.iter().map(|finding| vec![plain(finding)]).collect(),
        };
        Section { title: self.say("Deviations", "偏差"), head: Vec::new(), rows }
    }

    fn evidence(&self) -> Section {
        let head = vec![self.say("Entry", "序号"), self.say("Time", "时间"), "BLAKE3"];
        let row =
            |entry: &super::Evidence| vec![entry.number.to_string(), self.time(entry.time), entry.hash.to_string()];
        let rows = self.record.journal.iter().map(row).collect();
        Section { title: self.say("Entries of the journal", "日志条目"), head, rows }
    }
}

/// What somebody wrote: nothing of it moves the cursor of a terminal, or looks like another line.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
