/* cmd_diff.c - what differs between two runs. */
#include "client/cli/show_why.h"

#include "common/num.h"
#include "common/pure/hex.h"

#include <string.h>

#define BOLD "\033[1m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

/* ---- texts: exact when piped, on a terminal with colours and nothing that moves its cursor ---- */

static void add_line(struct buf *out, const struct cli *cli, const char *line,
		     size_t size)
{
	const char *color = !cli->color_out	     ? ""
			    : size && line[0] == '+' ? GREEN
			    : size && line[0] == '-' ? RED
						     : "";
	buf_add_str(out, color);
	if (cli->tty_out) {
		for (size_t at = 0; at < size;) {
			const char *tab = memchr(line + at, '\t', size - at);
			size_t end = tab ? (size_t)(tab - line) : size;
			text_escape(out, line + at, end - at);
			if (tab)
				buf_add_byte(out, '\t');
			at = tab ? end + 1 : end;
		}
	} else {
		buf_add(out, line, size);
	}
	buf_add_str(out, *color ? PLAIN "\n" : "\n");
}

static void add_text(struct buf *out, const struct cli *cli, const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");
		add_line(out, cli, text, size);
		text += size + (text[size] == '\n');
	}
}

static void add_head(struct buf *out, const struct cli *cli, const char *sign,
		     const char *what, const char *name)
{
	buf_printf(out, "%s%s %s", cli->color_out ? BOLD : "", sign, what);
	if (*name) {
		buf_add_byte(out, ' ');
		text_escape(out, name, strlen(name));
	}
	buf_printf(out, "%s\n", cli->color_out ? PLAIN : "");
}

/* ---- the parts ---- */

static void add_run(struct buf *out, const struct cashet_run *run, const char *sign)
{
	const struct cashet_result *r = &run->result;
	buf_printf(out, "%s %.*s  ", sign, SHORT_HASH, run->commit);
	show_title(out, r->name, r->params, r->param_count);
	buf_printf(out, "  %s", cashet_status_name(r->status));
	if (*run->batch)
		buf_printf(out, "  %.4s:%u", run->batch, r->index);
	buf_add_str(out, "  ");
	show_ago(out, r->ended_wall_ms);
	if (*r->worker) {
		buf_add_str(out, " on ");
		text_escape(out, r->worker, strlen(r->worker));
	}
	buf_add_str(out, " in ");
	show_duration(out, r->duration_ns);
	buf_add_byte(out, '\n');
	if (*r->error) {
		buf_add_str(out, "    ");
		text_escape(out, r->error, strlen(r->error));
		buf_add_byte(out, '\n');
	}
}

static void add_metric(struct buf *out, const struct cashet_metric *m)
{
	char number[32];
	if (!m)
		buf_add_str(out, "(none)");
	else if (m->is_text)
		text_escape(out, m->text, strlen(m->text));
	else
		buf_add_str(out, num_format_double(number, m->number));
}

static bool same_metric(const struct cashet_metric *a, const struct cashet_metric *b)
{
	if (!a || !b || a->is_text != b->is_text)
		return false;
	return a->is_text ? !strcmp(a->text, b->text) : a->number == b->number;
}

/* Those that differ; both sides are sorted by name. */
static void each_metric(const struct cashet_result *a, const struct cashet_result *b,
			void (*fn)(void *arg, const struct cashet_metric *a,
				   const struct cashet_metric *b),
			void *arg)
{
	for (size_t i = 0, k = 0; i < a->metric_count || k < b->metric_count;) {
		int order = i == a->metric_count ? 1
			    : k == b->metric_count
				    ? -1
				    : strcmp(a->metrics[i].name, b->metrics[k].name);
		const struct cashet_metric *x = order <= 0 ? &a->metrics[i] : NULL,
					   *y = order >= 0 ? &b->metrics[k] : NULL;
		if (!same_metric(x, y))
			fn(arg, x, y);
		i += order <= 0;
		k += order >= 0;
	}
}

struct naming { /* names stand in a column */
	struct buf *out;
	size_t width;
};

static void measure(struct naming *n, const char *name)
{
	CLEANUP_BUF struct buf text = {0};
	text_escape(&text, name, strlen(name));
	size_t width = text_width(buf_cstr(&text));
	n->width = width > n->width ? width : n->width;
}

static void measure_metric(void *arg, const struct cashet_metric *a,
			   const struct cashet_metric *b)
{
	measure(arg, a ? a->name : b->name);
}

static void add_name(const struct naming *n, const char *kind, const char *name)
{
	CLEANUP_BUF struct buf text = {0};
	text_escape(&text, name, strlen(name));
	buf_printf(n->out, "  %-8s  ", kind);
	table_put(n->out, buf_cstr(&text), n->width, false, false);
}

static void show_metric(void *arg, const struct cashet_metric *a,
			const struct cashet_metric *b)
{
	struct naming *n = arg;
	struct buf *out = n->out;
	add_name(n, "metric", a ? a->name : b->name);
	add_metric(out, a);
	buf_add_str(out, " -> ");
	add_metric(out, b);
	buf_add_byte(out, '\n');
}

static void add_content(struct buf *out, const struct cashet_content *c)
{
	char hex[2 * 4 + 1];
	if (c->type == CASHET_CONTENT_NONE) {
		buf_add_str(out, "(none)");
		return;
	}
	if (c->type != CASHET_CONTENT_TREE) {
		num_add_size(out, c->size);
		buf_add_byte(out, ' ');
	}
	buf_printf(out, "%s...%s", hex_encode(hex, c->digest, 4),
		   c->type == CASHET_CONTENT_TREE     ? " (folder)"
		   : c->type == CASHET_CONTENT_EXEC   ? " (executable)"
		   : c->type == CASHET_CONTENT_PICKLE ? " (pickle)"
						      : "");
}

static void add_output(const struct naming *n, const struct cashet_diff_output *o)
{
	struct buf *out = n->out;
	add_name(n, "output", o->name);
	if (o->how == CASHET_SAME) {
		buf_add_str(out, "unchanged (");
		add_content(out, &o->now);
		buf_add_str(out, ")\n");
		return;
	}
	add_content(out, &o->old);
	buf_add_str(out, " -> ");
	add_content(out, &o->now);
	buf_add_byte(out, '\n');
}

void show_code_diff(struct buf *out, const struct cli *cli, const struct cashet_change *c)
{
	const char *what = c->component == CASHET_LAYOUT ? "nothing that counts in"
			   : c->component == CASHET_CODE || c->file ? "code"
								    : "text of";
	if (!c->diff || !*c->diff)
		return;
	add_head(out, cli, "---", what,
		 c->file    ? c->file
		 : *c->name ? c->name
			    : "the command");
	add_text(out, cli, c->diff);
}

static void show_diff(struct buf *out, const struct cli *cli, const struct cashet_diff *d)
{
	add_run(out, &d->a, "-");
	add_run(out, &d->b, "+");
	show_changes(out, d->changes, d->change_count, false, cli->color_out);
	struct naming n = {.out = out};
	each_metric(&d->a.result, &d->b.result, measure_metric, &n);
	for (size_t i = 0; i < d->output_count; i++)
		measure(&n, d->outputs[i].name);
	each_metric(&d->a.result, &d->b.result, show_metric, &n);
	for (size_t i = 0; i < d->output_count; i++)
		add_output(&n, &d->outputs[i]);
	if (d->outputs_left_out)
		buf_printf(out, "  and %llu files more\n",
			   (unsigned long long)d->outputs_left_out);
	for (size_t i = 0; i < d->change_count; i++)
		show_code_diff(out, cli, &d->changes[i]);
	for (size_t i = 0; i < d->output_count; i++) {
		if (!d->outputs[i].diff || !*d->outputs[i].diff)
			continue;
		add_head(out, cli, "---", "output", d->outputs[i].name);
		add_text(out, cli, d->outputs[i].diff);
	}
}

/* ---- JSON ---- */

static void json_metric_value(struct json *j, const char *key,
			      const struct cashet_metric *m)
{
	json_key(j, key);
	if (!m)
		json_null(j);
	else if (m->is_text)
		json_string(j, m->text);
	else
		json_double(j, m->number);
}

static void json_metric(void *arg, const struct cashet_metric *a,
			const struct cashet_metric *b)
{
	struct json *j = arg;
	json_object(j);
	json_key(j, "name");
	json_string(j, a ? a->name : b->name);
	json_metric_value(j, "before", a);
	json_metric_value(j, "after", b);
	json_end_object(j);
}

static void json_content(struct json *j, const char *key, const struct cashet_content *c)
{
	json_key(j, key);
	if (c->type == CASHET_CONTENT_NONE) {
		json_null(j);
		return;
	}
	json_object(j);
	json_hash(j, "digest", true, c->digest);
	json_key(j, "size");
	json_uint(j, c->size);
	json_end_object(j);
}

static void json_output(struct json *j, const struct cashet_diff_output *o)
{
	static const char *const hows[] = {"same", "changed", "added", "removed"};
	json_object(j);
	json_key(j, "name");
	json_string(j, o->name);
	json_key(j, "how");
	json_string(j, hows[o->how]);
	json_content(j, "before", &o->old);
	json_content(j, "after", &o->now);
	json_key(j, "kind");
	if (!o->diff)
		json_null(j);
	else
		json_string(j, o->is_json ? "json" : "text");
	json_key(j, "diff");
	if (o->diff)
		json_string(j, o->diff);
	else
		json_null(j);
	json_end_object(j);
}

static int json_diffs(struct cli *cli, struct buf *out, const struct cashet_diff *d)
{
	struct json j;
	json_begin(&j, out);
	json_run(&j, "a", &d->a, true);
	json_run(&j, "b", &d->b, true);
	json_key(&j, "changes");
	json_array(&j);
	for (size_t i = 0; i < d->change_count; i++)
		json_change(&j, &d->changes[i]);
	json_end_array(&j);
	json_key(&j, "metrics");
	json_array(&j);
	each_metric(&d->a.result, &d->b.result, json_metric, &j);
	json_end_array(&j);
	json_key(&j, "outputs");
	json_array(&j);
	for (size_t i = 0; i < d->output_count; i++)
		json_output(&j, &d->outputs[i]);
	json_end_array(&j);
	json_key(&j, "outputs_left_out");
	json_uint(&j, d->outputs_left_out);
	return json_finish(cli, &j);
}

int cmd_diff(struct cli *cli)
{
	struct cashet_diff *d;
	struct cashet_error e;
	CLEANUP_BUF struct buf out = {0};
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_diff(cli->c, cli->words.items[0], cli->words.items[1], &d, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json) {
		code = json_diffs(cli, &out, d);
	} else {
		show_diff(&out, cli, d);
		code = cli_write(cli, &out);
	}
	cashet_diff_free(d);
	return code;
}
