/* show_why.c - see show_why.h. Changes become lines of three columns: what kind, which one, how it
 * differs; and at the end of those that count an arrow. */
#include "client/cli/show_why.h"

#include "common/num.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 8
#define VALUE_MAX 60	/* bytes of a value on one line */
#define CAUSE_COLUMN 52 /* where the arrow stands, unless a line is longer */
#define CAUSE_LONGEST 76
#define BOLD "\033[1m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static void escape(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

static bool is_identity(const struct cashet_change *c)
{
	return c->component < CASHET_TAG;
}

/* ---- values ---- */

static void add_value(struct buf *out, const char *text)
{
	size_t size = strlen(text), shown = size < VALUE_MAX ? size : VALUE_MAX;
	while (shown < size && shown && ((unsigned char)text[shown] & 0xc0) == 0x80)
		shown--;
	if (!size)
		buf_add_str(out, "\"\"");
	text_escape(out, text, shown);
	if (shown < size)
		buf_printf(out, "... (%zu bytes)", size);
}

static void add_digest(struct buf *out, const struct cashet_content *c)
{
	char hex[2 * 4 + 1];
	buf_printf(out, "%s...", hex_encode(hex, c->digest, 4));
}

static void add_texts(struct buf *out, const struct cashet_change *c)
{
	switch (c->how) {
	case CASHET_SAME:
		buf_add_str(out, "unchanged");
		return;
	case CASHET_CHANGED:
		add_value(out, c->before);
		buf_add_str(out, " -> ");
		add_value(out, c->after);
		return;
	case CASHET_ADDED:
		add_value(out, c->after);
		buf_add_str(out, " (new)");
		return;
	case CASHET_REMOVED:
		buf_add_str(out, "was ");
		add_value(out, c->before);
		buf_add_str(out, ", is gone");
		return;
	}
}

static void add_input(struct buf *out, const struct cashet_change *c)
{
	bool same_bytes = c->how == CASHET_CHANGED &&
			  !memcmp(c->old.digest, c->now.digest, sizeof c->now.digest);
	if (c->how == CASHET_SAME) {
		buf_add_str(out, "unchanged (");
		add_digest(out, &c->now);
		buf_add_byte(out, ')');
	} else if (same_bytes && strcmp(c->before, c->after)) {
		buf_add_str(out, "file name ");
		add_value(out, c->before);
		buf_add_str(out, " -> ");
		add_value(out, c->after);
	} else if (same_bytes) {
		buf_add_str(out, "is of another kind (file, folder, executable)");
	} else {
		if (c->how != CASHET_ADDED)
			add_digest(out, &c->old);
		buf_add_str(out, c->how == CASHET_CHANGED ? " -> " : "");
		if (c->how != CASHET_REMOVED)
			add_digest(out, &c->now);
		buf_add_str(out, c->how == CASHET_ADDED	    ? " (new)"
				 : c->how == CASHET_REMOVED ? " is gone"
							    : "");
	}
	if (!c->has_origin || c->how == CASHET_SAME)
		return;
	buf_add_str(out, ", from ");
	escape(out, c->origin_name);
	if (c->origin_count > 1)
		buf_printf(out, " (%u tasks%s)", c->origin_count,
			   c->origin_ran ? ", of which some ran again" : "");
	else
		buf_printf(out, ":%u (%s%.*s)", c->origin_index,
			   c->origin_ran ? "which ran again, " : "a hit, ", SHORT_HASH,
			   *c->origin_commit ? c->origin_commit : "-");
}

static void add_code(struct buf *out, const struct cashet_change *c)
{
	if (*c->where) {
		escape(out, c->where);
		return;
	}
	escape(out, c->name);
	switch (c->how) {
	case CASHET_SAME:
		buf_add_str(out, "  unchanged");
		return;
	case CASHET_CHANGED:
		buf_add_str(out, "  changed (");
		add_digest(out, &c->old);
		buf_add_str(out, " -> ");
		add_digest(out, &c->now);
		buf_add_byte(out, ')');
		return;
	case CASHET_ADDED:
		buf_add_str(out, "  is new");
		return;
	case CASHET_REMOVED:
		buf_add_str(out, "  is gone");
		return;
	}
}

/* ---- lines ---- */

static const char *label_of(const struct cashet_change *c)
{
	static const char *const labels[] = {
		[CASHET_COMMAND] = "command", [CASHET_ENV] = "env",
		[CASHET_OUTPUT] = "output",   [CASHET_METRICS] = "metrics",
		[CASHET_SALT] = "salt",	      [CASHET_CODE] = "function",
		[CASHET_PARAM] = "params",    [CASHET_INPUT] = "input",
		[CASHET_VERSION] = "version", [CASHET_TAG] = "tag",
		[CASHET_OPTION] = "option"};
	return (unsigned)c->component < ARRAY_LEN(labels) ? labels[c->component]
							  : "other";
}

static bool is_of_function(const struct cashet_change *c)
{
	return c->component <= CASHET_CODE;
}

struct line {
	const char *label;
	struct buf name, text;
	bool cause;
};

struct lines {
	struct line *items;
	size_t count, capacity;
};

static struct line *add_line(struct lines *l, const char *label)
{
	mem_grow(l->items, l->count, l->capacity);
	l->items[l->count] = (struct line){.label = label};
	return &l->items[l->count++];
}

static void lines_fini(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++) {
		buf_fini(&l->items[i].name);
		buf_fini(&l->items[i].text);
	}
	free(l->items);
}

static void line_of(struct lines *l, const struct cashet_change *c)
{
	struct line *line = add_line(l, label_of(c));
	line->cause = is_identity(c) && c->how != CASHET_SAME;
	if (c->component == CASHET_CODE) {
		add_code(&line->name, c);
		return;
	}
	escape(&line->name, c->name);
	/* What has no name of its own stands in its column. */
	struct buf *text = *c->name ? &line->text : &line->name;
	if (c->component == CASHET_INPUT)
		add_input(text, c);
	else if (c->component == CASHET_VERSION)
		buf_add_str(
			text,
			c->how == CASHET_SAME
				? "unchanged"
				: "changed; what it was is not in the store any more");
	else
		add_texts(text, c);
}

/* What is unchanged of one kind in one line: "lr opt seed  unchanged". */
static void same_line(struct lines *l, const char *label, enum cashet_component component,
		      const struct cashet_change *changes, size_t count)
{
	struct line *line = NULL;
	for (size_t i = 0; i < count; i++) {
		if (changes[i].component != component || changes[i].how != CASHET_SAME)
			continue;
		if (!line) {
			line = add_line(l, label);
			buf_add_str(&line->text, "unchanged");
		}
		if (line->name.size)
			buf_add_byte(&line->name, ' ');
		escape(&line->name, changes[i].name);
	}
}

static void gather(struct lines *l, const struct cashet_change *changes, size_t count)
{
	bool function_changed = false, has_function = false;
	for (size_t i = 0; i < count; i++) {
		if (!is_of_function(&changes[i]))
			continue;
		has_function = true;
		if (changes[i].how == CASHET_SAME)
			continue;
		function_changed = true;
		line_of(l, &changes[i]);
	}
	if (has_function && !function_changed)
		buf_add_str(&add_line(l, "function")->name, "unchanged");
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_VERSION)
			line_of(l, &changes[i]);
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_INPUT)
			line_of(l, &changes[i]);
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_PARAM && changes[i].how != CASHET_SAME)
			line_of(l, &changes[i]);
	same_line(l, "params", CASHET_PARAM, changes, count);
}

static size_t width_of(struct buf *text)
{
	return text_width(buf_cstr(text));
}

static void pad(struct buf *out, size_t from, size_t to)
{
	for (; from < to; from++)
		buf_add_byte(out, ' ');
}

static void render(struct buf *out, struct lines *l, bool causes, bool color)
{
	size_t name_width = 0, end = CAUSE_COLUMN;
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].text.size && width_of(&l->items[i].name) > name_width)
			name_width = width_of(&l->items[i].name);
	for (size_t i = 0; i < l->count; i++) {
		struct line *line = &l->items[i];
		size_t width = 2 + LABEL_WIDTH + 2;
		width += line->text.size ? name_width + 2 + width_of(&line->text)
					 : width_of(&line->name);
		if (line->cause && width > end && width <= CAUSE_LONGEST)
			end = width;
	}
	for (size_t i = 0; i < l->count; i++) {
		struct line *line = &l->items[i];
		size_t start = out->size;
		buf_printf(out, "  %-*s  %s", LABEL_WIDTH, line->label,
			   buf_cstr(&line->name));
		if (line->text.size) {
			pad(out, width_of(&line->name), name_width + 2);
			buf_add_str(out, buf_cstr(&line->text));
		}
		if (causes && line->cause) {
			buf_add_byte(out, '\0');
			size_t width = text_width((const char *)out->data + start);
			out->size--;
			pad(out, width, end);
			buf_printf(out, "  %s<- cause%s", color ? YELLOW : "",
				   color ? PLAIN : "");
		}
		buf_add_byte(out, '\n');
	}
}

void show_changes(struct buf *out, const struct cashet_change *changes, size_t count,
		  bool causes, bool color)
{
	struct lines l = {0};
	gather(&l, changes, count);
	render(out, &l, causes, color);
	lines_fini(&l);
	/* What differs and is no cause, in one line. */
	bool first = true;
	for (size_t i = 0; i < count; i++) {
		const struct cashet_change *c = &changes[i];
		if (is_identity(c) || c->how == CASHET_SAME)
			continue;
		buf_add_str(out, first ? "  not a cause: " : ", ");
		buf_printf(out, "%s", c->component == CASHET_TAG ? "tag " : "");
		escape(out, c->name);
		buf_add_byte(out, ' ');
		add_texts(out, c);
		first = false;
	}
	if (!first)
		buf_add_byte(out, '\n');
}

void show_cause(struct buf *out, const struct cashet_change *c, bool several)
{
	switch (c->component) {
	case CASHET_CODE:
		if (*c->where) {
			escape(out, c->where);
			return;
		}
		escape(out, c->name);
		buf_add_str(out, c->how == CASHET_ADDED	    ? " is new"
				 : c->how == CASHET_REMOVED ? " is gone"
							    : " changed");
		return;
	case CASHET_INPUT:
		buf_add_str(out, "input ");
		escape(out, c->name);
		buf_add_str(out, " changed");
		return;
	case CASHET_PARAM:
		escape(out, c->name);
		buf_add_str(out, several ? ", for example " : " ");
		add_texts(out, c);
		return;
	case CASHET_COMMAND:
	case CASHET_ENV:
	case CASHET_OUTPUT:
	case CASHET_METRICS:
	case CASHET_SALT:
	case CASHET_TAG:
	case CASHET_OPTION:
		buf_printf(out, "%s ", label_of(c));
		escape(out, c->name);
		if (*c->name)
			buf_add_byte(out, ' ');
		add_texts(out, c);
		return;
	case CASHET_VERSION:
		break;
	}
	buf_add_str(out, "function or arguments changed");
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
		if (is_identity(&w->changes[i]) && w->changes[i].how != CASHET_SAME)
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
	static const char *const components[] = {"command", "env",  "output", "metrics",
						 "salt",    "code", "param",  "input",
						 "version", "tag",  "option"};
	static const char *const hows[] = {"same", "changed", "added", "removed"};
	bool digests = c->component == CASHET_CODE || c->component == CASHET_INPUT;
	json_object(j);
	json_key(j, "component");
	json_string(j, (unsigned)c->component < ARRAY_LEN(components)
			       ? components[c->component]
			       : "other");
	json_text(j, "name", c->name);
	json_key(j, "how");
	json_string(j, (unsigned)c->how < ARRAY_LEN(hows) ? hows[c->how] : "other");
	json_key(j, "cause");
	json_bool(j, is_identity(c) && c->how != CASHET_SAME);
	if (digests) {
		json_hash(j, "before", c->old.type != CASHET_CONTENT_NONE, c->old.digest);
		json_hash(j, "after", c->now.type != CASHET_CONTENT_NONE, c->now.digest);
	} else {
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
