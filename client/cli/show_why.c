/* show_why.c - see show_why.h: the answer of `cashet why`, as text and as JSON. */
#include "client/cli/show_why.h"

#include "common/num.h"
#include "common/pure/hex.h"

#include <inttypes.h>
#include <string.h>

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void escape(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

const char *show_reason(enum cashet_reason reason)
{
	switch (reason) {
	case CASHET_REASON_UNKNOWN:
		break;
	case CASHET_REASON_FIRST:
		return "first time";
	case CASHET_REASON_CHANGED:
		return "changed";
	case CASHET_REASON_FORCED:
		return "forced";
	case CASHET_REASON_NO_CACHE:
		return "cache is off";
	case CASHET_REASON_EXPIRED:
		return "its result expired";
	case CASHET_REASON_GONE:
		return "its result's bytes are gone";
	case CASHET_REASON_CORRUPT:
		return "its result was corrupt";
	case CASHET_REASON_INVALIDATED:
		return "its result was invalidated";
	case CASHET_REASON_FAILED_BEFORE:
		return "failed before";
	case CASHET_REASON_NOT_KEPT:
		return "its earlier result was not kept";
	}
	return "not known";
}

/* ---- why ---- */

static void add_ago(struct buf *out, uint64_t wall_ms, uint64_t now_ms)
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	uint64_t s = now_ms > wall_ms ? (now_ms - wall_ms) / 1000 : 0;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t n = s / units[i].seconds;
		if (n < 1 || (n < 2 && i + 1 < ARRAY_LEN(units) && i < 3 &&
			      s < 2 * units[i].seconds && units[i].seconds > 60))
			continue;
		buf_printf(out, "%" PRIu64 " %s%s ago", n, units[i].name,
			   n == 1 ? "" : "s");
		return;
	}
	buf_add_str(out, "just now");
}

static void add_commit(struct buf *out, const struct cashet_run *run, uint64_t now_ms)
{
	buf_printf(out, "%.*s... (", SHORT_HASH, run->commit);
	add_ago(out, run->result.ended_wall_ms, now_ms);
	buf_add_byte(out, ')');
}

static void add_fingerprint(struct buf *out, const struct cashet_run *run)
{
	char func[8 + 1], args[8 + 1];
	buf_printf(out, "fingerprint %.4s:%.4s",
		   hex_encode(func, run->result.func_hash, 4),
		   hex_encode(args, run->result.args_hash, 4));
}

static void add_task(struct buf *out, const struct cashet_run *run)
{
	buf_printf(out, "%.4s:%u", run->batch, run->result.index);
}

static bool any_cause(const struct cashet_why *w)
{
	for (size_t i = 0; i < w->change_count; i++)
		if (show_is_identity(&w->changes[i]) && w->changes[i].how != CASHET_SAME)
			return true;
	return false;
}

/* One sentence behind RAN, or behind "it ran because". */
static void add_reason(struct buf *out, const struct cashet_why *w, uint64_t now_ms)
{
	const struct cashet_run *old = &w->earlier;
	bool will = w->verdict == CASHET_WHY_READY;
	switch (w->reason) {
	case CASHET_REASON_UNKNOWN:
		buf_add_str(out, "its inputs are not known");
		return;
	case CASHET_REASON_FIRST:
		buf_add_str(out, "first time: no task called ");
		escape(out, w->run.result.name);
		buf_add_str(out, " ran here before");
		return;
	case CASHET_REASON_CHANGED:
		if (!w->has_earlier) {
			buf_add_str(out, "first time with this fingerprint");
			return;
		}
		if (*w->run.batch && !strcmp(w->run.batch, old->batch)) {
			buf_add_str(out,
				    "first time with these arguments; the nearest run "
				    "before it is ");
			add_task(out, old);
			buf_add_str(out, " of the same batch, ");
			add_commit(out, old, now_ms);
			buf_add_str(out, any_cause(w) ? ", which differs in:" : "");
			return;
		}
		add_fingerprint(out, &w->run);
		buf_add_str(out, " differs from ");
		add_commit(out, old, now_ms);
		buf_add_str(out, any_cause(w) ? " in:" : "");
		return;
	case CASHET_REASON_FORCED:
	case CASHET_REASON_NO_CACHE:
		buf_add_str(out,
			    w->reason == CASHET_REASON_FORCED
				    ? "forced (--force, or cache: force)"
				    : "the cache was off for it (--no-cache, or cache: "
				      "off)");
		if (!w->has_earlier)
			return;
		buf_add_str(out, w->earlier.result.status == CASHET_COMPLETED
					 ? "; the same work is in the cache as "
					 : "; the same work failed before, ");
		add_commit(out, old, now_ms);
		return;
	case CASHET_REASON_EXPIRED:
		buf_add_str(out, "the result ");
		add_commit(out, old, now_ms);
		buf_add_str(out, will ? " has expired: its ttl is "
				      : " had expired: its ttl was ");
		num_add_duration(out, old->ttl_s * NS_PER_S);
		return;
	case CASHET_REASON_GONE:
	case CASHET_REASON_CORRUPT:
		buf_add_str(out, "the bytes of the result ");
		add_commit(out, old, now_ms);
		buf_add_str(out, w->reason == CASHET_REASON_GONE
					 ? " were gone: evicted by gc, or lost"
					 : " were found to be corrupt");
		return;
	case CASHET_REASON_INVALIDATED:
		buf_add_str(out, "the result ");
		add_commit(out, old, now_ms);
		buf_add_str(out, " was invalidated");
		return;
	case CASHET_REASON_FAILED_BEFORE:
		buf_add_str(out, "the same work failed before: ");
		add_commit(out, old, now_ms);
		buf_add_str(out, "; a failure is never a hit");
		return;
	case CASHET_REASON_NOT_KEPT:
		buf_add_str(out, "the earlier run of the same work, ");
		add_commit(out, old, now_ms);
		buf_add_str(out, ", had the cache off");
		return;
	}
}

static void add_maker(struct buf *out, const struct cashet_run *run, uint64_t now_ms)
{
	const struct cashet_result *r = &run->result;
	buf_printf(out, "commit %.*s, made ", SHORT_HASH, run->commit);
	add_ago(out, r->ended_wall_ms, now_ms);
	if (*r->worker) {
		buf_add_str(out, " on ");
		escape(out, r->worker);
	}
	buf_add_str(out, " in ");
	show_duration(out, r->duration_ns);
}

static void add_tasks(struct buf *out, const struct cashet_why *w)
{
	for (size_t i = 0; i < w->task_count; i++) {
		const struct cashet_why_task *t = &w->tasks[i];
		buf_printf(out, "  %.4s:%u  ", w->run.batch, t->index);
		escape(out, t->name);
		buf_printf(out, "  %s\n", cashet_status_name(t->status));
	}
	if (w->tasks_left_out)
		buf_printf(out, "  and %" PRIu64 " more\n", w->tasks_left_out);
}

static void add_failure(struct buf *out, const struct cashet_why *w)
{
	const struct cashet_result *r = &w->run.result;
	buf_printf(out, "attempt %u", r->attempts);
	if (*r->worker) {
		buf_add_str(out, " on ");
		escape(out, r->worker);
	}
	buf_add_str(out, ": ");
	escape(out, r->error);
	buf_add_str(out, "\n  cashet logs ");
	add_task(out, &w->run);
	buf_add_str(out, "\n  it ran: ");
}

static void add_head(struct buf *out, const char *word, bool color)
{
	buf_printf(out, "%s%s%s  ", color ? BOLD : "", word, color ? PLAIN : "");
}

void show_why(struct buf *out, const struct cashet_why *w, uint64_t now_ms, bool color)
{
	switch (w->verdict) {
	case CASHET_WHY_RAN:
		add_head(out, "RAN", color);
		break;
	case CASHET_WHY_FAILED:
		add_head(out, "FAILED", color);
		add_failure(out, w);
		break;
	case CASHET_WHY_HIT:
	case CASHET_WHY_JOINED:
		add_head(out, w->verdict == CASHET_WHY_HIT ? "HIT" : "JOINED", color);
		if (w->verdict == CASHET_WHY_JOINED)
			buf_add_str(out, "the same work was running already: ");
		add_maker(out, &w->run, now_ms);
		buf_add_byte(out, '\n');
		return;
	case CASHET_WHY_RUNNING:
		add_head(out, "RUNNING", color);
		escape(out, w->note);
		buf_add_str(out, "\n  it runs: ");
		break;
	case CASHET_WHY_READY:
		add_head(out, "READY", color);
		escape(out, *w->note ? w->note : "no broker serves this store just now");
		buf_add_str(out, "\n  it will run: ");
		break;
	case CASHET_WHY_WAITING:
		add_head(out, "WAITING", color);
		if (w->task_count)
			buf_printf(out, "for %s:\n",
				   w->task_count + w->tasks_left_out == 1 ? "a task"
									  : "tasks");
		else
			buf_printf(out, "%s\n",
				   *w->note ? w->note
					    : "no broker serves this store "
					      "just now");
		add_tasks(out, w);
		return;
	case CASHET_WHY_SKIPPED:
		add_head(out, "SKIPPED", color);
		buf_add_str(out, "a task that it needs failed:\n");
		add_tasks(out, w);
		if (w->task_count)
			buf_printf(out, "  cashet why %.4s:%u\n", w->run.batch,
				   w->tasks[w->task_count - 1].index);
		return;
	case CASHET_WHY_CANCELLED:
		add_head(out, "CANCELLED", color);
		buf_add_str(out, "by hand, or at max_failures of its batch\n");
		return;
	}
	add_reason(out, w, now_ms);
	buf_add_byte(out, '\n');
	if (w->has_earlier)
		show_changes(out, w->changes, w->change_count,
			     w->reason == CASHET_REASON_CHANGED, color);
}

/* ---- JSON ---- */

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_string(j, text);
	else
		json_null(j);
}

void json_change(struct json *j, const struct cashet_change *c)
{
	static const char *const components[] = {
		"command",     "env",	     "output",	"metrics", "salt",   "code",
		"param",       "input",	     "version", "tag",	   "option", "source",
		"interpreter", "definition", "package", "cflags",  "layout"};
	static const char *const hows[] = {"same", "changed", "added", "removed"};
	bool digests = c->component == CASHET_CODE || c->component == CASHET_INPUT ||
		       c->component == CASHET_SOURCE || c->component == CASHET_LAYOUT;
	bool texts = !digests && c->component != CASHET_DEFINITION;
	json_object(j);
	json_key(j, "component");
	json_string(j, (unsigned)c->component < ARRAY_LEN(components)
			       ? components[c->component]
			       : "other");
	json_text(j, "name", c->name);
	json_key(j, "how");
	json_string(j, (unsigned)c->how < ARRAY_LEN(hows) ? hows[c->how] : "other");
	json_key(j, "cause");
	json_bool(j, show_is_identity(c) && c->how != CASHET_SAME);
	if (digests) {
		json_hash(j, "before", c->old.type != CASHET_CONTENT_NONE, c->old.digest);
		json_hash(j, "after", c->now.type != CASHET_CONTENT_NONE, c->now.digest);
	} else if (texts) {
		json_key(j, "before");
		if (c->how == CASHET_ADDED)
			json_null(j);
		else
			json_string(j, c->before);
		json_key(j, "after");
		if (c->how == CASHET_REMOVED)
			json_null(j);
		else
			json_string(j, c->after);
	}
	if (c->component == CASHET_DEFINITION) {
		json_text(j, "where", c->where);
		json_text(j, "file", c->file);
		json_key(j, "line");
		json_uint(j, c->line);
	}
	if (c->component == CASHET_CODE) {
		json_text(j, "where", c->where);
		json_key(j, "only_comments");
		json_bool(j, c->only_comments);
	}
	if (c->has_origin) {
		json_key(j, "from");
		json_object(j);
		json_key(j, "index");
		json_uint(j, c->origin_index);
		json_text(j, "name", c->origin_name);
		json_text(j, "commit", c->origin_commit);
		json_key(j, "ran");
		json_bool(j, c->origin_ran);
		json_key(j, "tasks");
		json_uint(j, c->origin_count);
		json_end_object(j);
	}
	if (c->diff)
		json_text(j, "diff", c->diff);
	json_end_object(j);
}

void json_run(struct json *j, const char *key, const struct cashet_run *run, bool is)
{
	json_key(j, key);
	if (!is) {
		json_null(j);
		return;
	}
	json_object(j);
	json_text(j, "batch", run->batch);
	json_key(j, "task");
	json_result(j, &run->result);
	json_end_object(j);
}
