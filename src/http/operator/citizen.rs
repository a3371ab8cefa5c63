//! `POST /citizens`: the import, one citizen a line.
//!
//! The body is read whole before the first line is worked on (it is bounded,
//! and so is the number of imports at one time): a request that is refused
//! has changed nothing. Lines are then stored in batches; if the store fails
//! in between, the answer says which lines are stored, and repeating the
//! whole is harmless, since a line replaces the citizen's record.

use std::collections::HashMap;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::port::store::Written;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::citizen_line::{self, CitizenLine};
use crate::http::access::Admin;
use crate::http::app::App;
use crate::http::body::{self, Arguments};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::telemetry::metric;

/// Citizens stored at a time.
const BATCH: usize = 1000;
/// Lines worked on before other requests get their turn on the thread.
const LINES_A_TURN: usize = 256;
/// Longest line, in bytes: a thousand preferences fit.
const LONGEST_LINE: usize = 256 * 1024;
/// Most errors and most warnings listed in an answer; all are counted.
const MOST_LISTED: usize = 1000;
/// What a client is told to wait while other imports run.
const RETRY: Duration = Duration::from_secs(2);

/// How the lines are numbered.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Number of the body's first line in the file it was cut from.
    #[serde(default = "one")]
    first_line: u64,
}

const fn one() -> u64 {
    1
}

/// A line and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
struct LineNote {
    line: u64,
    reason: String,
}

/// What became of the lines.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ImportReport {
    /// Lines that made a new citizen.
    imported: u64,
    /// Lines that replaced a known one.
    updated: u64,
    /// Lines that were refused.
    refused: u64,
    /// The refused lines, at most a thousand.
    errors: Vec<LineNote>,
    /// Lines that were stored and look odd, at most a thousand.
    warnings: Vec<LineNote>,
}

/// Imports citizens: NDJSON, one object a line.
///
/// A line that is refused is reported and does not stop the rest. Of several
/// lines about one citizen the last one counts.
#[utoipa::path(
    post,
    path = "/api/operator/v1/citizens",
    tag = "operator",
    operation_id = "importCitizens",
    security(("OperatorKey" = [])),
    params(ImportQuery),
    request_body(content = CitizenLine, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "Worked through", body = ImportReport),
        (status = 413, description = "The body is too long; send it in parts", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Other imports are running", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer; the detail says what is stored", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn import(
    State(app): State<App>,
    _: Admin,
    Arguments(query): Arguments<ImportQuery>,
    request: Request,
) -> Result<Json<ImportReport>, Problem> {
    let _running = app.imports().try_acquire().map_err(|_| {
        Problem::new(Kind::Overloaded, "other imports are running").retry_after(RETRY)
    })?;
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().import_body_limit).await?;
    let mut import = Import::default();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        import.take(&app, query.first_line.saturating_add(index as u64), line);
        if import.batch.len() >= BATCH {
            import.store(&app).await?;
        }
        if index % LINES_A_TURN == LINES_A_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
    import.store(&app).await?;
    let report = import.report;
    metric::import_lines(report.imported, report.updated, report.refused);
    Ok(Json(report))
}

/// An import under way.
#[derive(Default)]
struct Import {
    report: ImportReport,
    batch: Vec<Citizen>,
    /// Place in the batch and line of each citizen in it.
    places: HashMap<FiscalCode, (usize, u64)>,
    /// Lines of the batch that a later line of the batch replaced.
    replaced: u64,
    last_line: u64,
    stored_to: u64,
}

impl Import {
    /// Takes one line into the batch, or into the report.
    fn take(&mut self, app: &App, number: u64, line: &[u8]) {
        self.last_line = number;
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let read = if line.len() > LONGEST_LINE {
            Err(format!("the line is longer than {LONGEST_LINE} bytes"))
        } else {
            citizen_line::read(line, app.engine().now())
        };
        match read {
            Err(reason) => {
                self.report.refused += 1;
                note(&mut self.report.errors, number, reason);
            }
            Ok(read) => {
                if let Some(warning) = read.warning {
                    note(&mut self.report.warnings, number, warning.to_owned());
                }
                self.add(number, read.citizen);
            }
        }
    }

    fn add(&mut self, number: u64, citizen: Citizen) {
        match self.places.get_mut(&citizen.fiscal_code) {
            Some((place, line)) => {
                let reason = format!("line {number} is about the same citizen and replaces it");
                note(&mut self.report.warnings, *line, reason);
                *line = number;
                self.batch[*place] = citizen;
                self.replaced += 1;
            }
            None => {
                self.places.insert(citizen.fiscal_code, (self.batch.len(), number));
                self.batch.push(citizen);
            }
        }
    }

    /// Stores the batch.
    async fn store(&mut self, app: &App) -> Result<(), Problem> {
        let batch = std::mem::take(&mut self.batch);
        self.places.clear();
        if !batch.is_empty() {
            let storing = app.write(app.engine().put_citizens(batch));
            let stored = storing.await.map_err(|problem| self.failed(problem))?;
            let new =
                stored.iter().filter(|upsert| upsert.written == Written::Inserted).count() as u64;
            self.report.imported += new;
            self.report.updated += stored.len() as u64 - new + std::mem::take(&mut self.replaced);
        }
        self.stored_to = self.last_line;
        Ok(())
    }

    fn failed(&self, problem: Problem) -> Problem {
        let detail = match self.stored_to {
            0 => format!("no line is surely stored: {}", problem.detail()),
            line => format!("lines up to {line} are stored: {}", problem.detail()),
        };
        problem.with_detail(detail)
    }
}

fn note(notes: &mut Vec<LineNote>, line: u64, reason: String) {
    if notes.len() < MOST_LISTED {
        notes.push(LineNote { line, reason });
    }
}
