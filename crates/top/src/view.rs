//! One frame: the busiest clients on the left, what was decided on the right.

use connlimit::{
    Limiter,
    stats::{ClientCount, Stats, Zone},
};
use ratatui::{
    Frame, Terminal,
    backend::TestBackend,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    widgets::{Block, Cell, Paragraph, Row, Table},
};
use std::time::Instant;

/// What is shown of a limiter.
pub struct View {
    limiter: Limiter,
    title: String,
    now: Sight,
    before: Option<Sight>,
}

/// What was seen at one time.
#[derive(Clone)]
struct Sight {
    at: Instant,
    stats: Stats,
}

impl Sight {
    fn of(limiter: &Limiter) -> Self {
        Self { at: Instant::now(), stats: limiter.stats() }
    }
}

impl View {
    pub fn new(limiter: &Limiter, title: &str) -> Self {
        Self { limiter: limiter.clone(), title: title.to_owned(), now: Sight::of(limiter), before: None }
    }

    /// Looks again; rates are those since the last look.
    pub fn refresh(&mut self) {
        let now = Sight::of(&self.limiter);
        self.before = Some(core::mem::replace(&mut self.now, now));
    }

    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
        let [clients, decisions] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
        frame.render_widget(Paragraph::new(self.summary()).bold(), head);
        self.draw_clients(frame, clients);
        self.draw_decisions(frame, decisions);
        frame.render_widget(Paragraph::new("q quits").dim(), foot);
    }

    /// The same as text, on a terminal of so many columns and lines.
    pub fn text(&self, width: u16, height: u16) -> String {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
        let Ok(_frame) = terminal.draw(|frame| self.draw(frame));
        let cells = terminal.backend().buffer().content();
        let lines = cells.chunks(usize::from(width.max(1)));
        let lines = lines.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn summary(&self) -> String {
        let table = self.now.stats.total;
        format!(
            "connlimit {}: {} connections, {} clients, {} KiB of {} MiB",
            self.title,
            table.open_connections,
            table.clients,
            table.reserved_bytes / 1024,
            table.bound_bytes >> 20
        )
    }

    fn draw_clients(&self, frame: &mut Frame<'_>, area: Rect) {
        let limit = self.limiter.config().max_per_client().at_most();
        let room = usize::from(area.height.saturating_sub(3));
        let rows = self.limiter.top(room).into_iter().map(|ClientCount { client, open_connections: open, .. }| {
            let near = self.limiter.usage(client).zone == Zone::Soft;
            let style = match (limit.is_some_and(|limit| open >= limit), near) {
                (true, _) => Style::new().fg(Color::Red),
                (false, true) => Style::new().fg(Color::Yellow),
                (false, false) => Style::new(),
            };
            Row::new([
                Cell::new(client.to_string()),
                Cell::new(format!("{open:>5}")),
                Cell::new(bar(open, limit.unwrap_or(0))),
            ])
            .style(style)
        });
        let widths = [Constraint::Fill(1), Constraint::Length(5), Constraint::Length(BAR)];
        let of = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
        let table = Table::new(rows, widths)
            .header(Row::new(["client".to_owned(), " open".to_owned(), of]).bold())
            .block(Block::bordered().title(" busiest clients "));
        frame.render_widget(table, area);
    }

    fn draw_decisions(&self, frame: &mut Frame<'_>, area: Rect) {
        let counts = |stats: &Stats| {
            let decisions = stats.decisions;
            let mut counts =
                vec![("admitted", decisions.admitted), ("admitted untracked", decisions.admitted_untracked)];
            counts.extend(decisions.rejected.by_reason());
            counts.extend([("shadow", decisions.shadow_rejected), ("dry run", decisions.dry_run_rejected)]);
            counts
        };
        let before = self.before.as_ref().unwrap_or(&self.now);
        let seconds = (self.now.at - before.at).as_secs_f64();
        let rows = counts(&self.now.stats).into_iter().zip(counts(&before.stats)).map(|((name, now), (_, before))| {
            let more = u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
            let rate = if more == 0 { String::new() } else { format!("{:>6.0}/s", f64::from(more) / seconds) };
            Row::new([name.replace('_', " "), format!("{now:>7}"), rate])
        });
        let widths = [Constraint::Fill(1), Constraint::Length(7), Constraint::Length(8)];
        let table = Table::new(rows, widths)
            .header(Row::new(["decision", " so far", "     now"]).bold())
            .block(Block::bordered().title(" decisions "));
        frame.render_widget(table, area);
    }
}

const BAR: u16 = 12;

/// How much of its limit a client has.
fn bar(open: u32, limit: u32) -> String {
    let full = u64::from(BAR) * u64::from(open) / u64::from(limit.max(1));
    let cells = usize::try_from(full.min(BAR.into())).unwrap_or(0);
    if limit == 0 { String::new() } else { "■".repeat(cells) }
}
