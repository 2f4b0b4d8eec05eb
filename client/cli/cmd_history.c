/* cmd_history.c - history: all runs of the same work; or the lineage of one: a tree of text in which
 * each commit is drawn once, or a graph for Graphviz. */
#include "client/cli/cli.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 100 /* of the tree: more is cut, and said */

static int ask_runs(struct cli *cli, void *ctx, cashet_commit_row row, void *arg,
		    struct cashet_error *e)
{
	return cashet_runs(cli->c, ctx, row, arg, e);
}

/* ---- the tree ---- */

struct tree {
	const struct cli *cli;
	const struct cashet_lineage *l;
	struct buf out;
	struct buf prefix; /* of the lines of the branch that is drawn */
	bool *drawn;	   /* by number of the node */
};

static void add_node(struct tree *t, uint32_t number)
{
	const struct cashet_commit *c = &t->l->nodes[number].commit;
	char hash[SHORT_HASH + 1];
	show_short(hash, c->commit);
	buf_printf(&t->out, "%s  ", hash);
	show_text(t->cli, &t->out, c->name);
	buf_add_str(&t->out, c->failed ? "  failed" : "  ");
	if (!c->failed)
		show_duration(&t->out, c->duration_ns);
}

static void draw(struct tree *t, uint32_t number, unsigned depth);

/* A line below the node that is drawn: the corner, and what stands for what follows below it. */
static size_t begin_line(struct tree *t, bool last)
{
	size_t before = t->prefix.size;
	buf_add(&t->out, t->prefix.data, t->prefix.size);
	buf_add_str(&t->out, last ? "\u2514\u2500 " : "\u251c\u2500 ");
	buf_add_str(&t->prefix, last ? "   " : "\u2502  ");
	return before;
}

static void draw_origin(struct tree *t, const struct cashet_origin *o, bool last,
			unsigned depth)
{
	bool whole = o->source_count == 1 && !o->supplied && !o->unknown;
	size_t before = begin_line(t, last);
	if (whole) {
		show_text(t->cli, &t->out, *o->name ? o->name : "input");
		buf_add_str(&t->out, ": ");
		draw(t, o->sources[0], depth);
		t->prefix.size = before;
		return;
	}
	show_origin(t->cli, &t->out, o);
	if (o->supplied && o->source_count)
		buf_printf(&t->out, "  %" PRIu32 " of them supplied by the client",
			   o->supplied);
	else if (o->supplied)
		buf_add_str(&t->out, "  supplied by the client");
	if (o->unknown)
		buf_add_str(&t->out, "  from where is not recorded here");
	buf_add_byte(&t->out, '\n');
	for (size_t i = 0; i < o->source_count; i++) {
		size_t inner = begin_line(t, i + 1 == o->source_count);
		draw(t, o->sources[i], depth);
		t->prefix.size = inner;
	}
	t->prefix.size = before;
}

static void draw(struct tree *t, uint32_t number, unsigned depth)
{
	const struct cashet_node *n = &t->l->nodes[number];
	add_node(t, number);
	if (t->drawn[number] && n->input_count) {
		buf_add_str(&t->out, "  (drawn above)\n");
		return;
	}
	if (depth == DEPTH_MAX && n->input_count) {
		buf_add_str(&t->out,
			    "  (and so on: cashet history --graph of this one)\n");
		return;
	}
	t->drawn[number] = true;
	buf_add_byte(&t->out, '\n');
	for (size_t i = 0; i < n->input_count; i++)
		draw_origin(t, &n->inputs[i], i + 1 == n->input_count, depth + 1);
}

static int print_tree(struct cli *cli, const struct cashet_lineage *l)
{
	struct tree t = {.cli = cli, .l = l};
	t.drawn = mem_alloc(l->node_count + 1);
	draw(&t, 0, 0);
	if (l->cut)
		buf_printf(&t.out, "(only the nearest %zu commits)\n", l->node_count);
	pager_begin(cli);
	int code = cli_write(cli, &t.out);
	pager_end(cli);
	buf_fini(&t.out);
	buf_fini(&t.prefix);
	free(t.drawn);
	return code;
}

/* ---- Graphviz ---- */

/* Escaped wherever it goes: control characters are nothing for a picture either. */
static void add_quoted(struct buf *out, const char *text)
{
	CLEANUP_BUF struct buf escaped = {0};
	text_escape(&escaped, text, strlen(text));
	for (const char *at = buf_cstr(&escaped); *at; at++) {
		if (*at == '"' || *at == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)*at);
	}
}

static void dot_origin(struct buf *out, size_t node, size_t input,
		       const struct cashet_origin *o)
{
	for (size_t i = 0; i < o->source_count; i++) {
		buf_printf(out, "  c%" PRIu32 " -> c%zu [label=\"", o->sources[i], node);
		add_quoted(out, o->name);
		buf_add_str(out, "\"]\n");
	}
	if (!o->supplied && !o->unknown && o->source_count)
		return;
	char hash[SHORT_HASH + 1];
	show_short(hash, o->content.digest);
	buf_printf(out, "  f%zu_%zu [shape=note, label=\"", node, input);
	add_quoted(out, o->file_count ? o->files[0] : o->name);
	buf_printf(out, "\\n%s\"]\n  f%zu_%zu -> c%zu [label=\"", hash, node, input,
		   node);
	add_quoted(out, o->name);
	buf_add_str(out, "\"]\n");
}

static int print_dot(struct cli *cli, const struct cashet_lineage *l)
{
	CLEANUP_BUF struct buf out = {0};
	char hash[SHORT_HASH + 1];
	buf_add_str(&out, "digraph lineage {\n  rankdir=LR\n  node [shape=box]\n");
	for (size_t i = 0; i < l->node_count; i++) {
		const struct cashet_commit *c = &l->nodes[i].commit;
		show_short(hash, c->commit);
		buf_printf(&out, "  c%zu [label=\"", i);
		add_quoted(&out, c->name);
		buf_printf(&out, "\\n%s\"%s]\n", hash, c->failed ? ", color=red" : "");
	}
	for (size_t i = 0; i < l->node_count; i++)
		for (size_t k = 0; k < l->nodes[i].input_count; k++)
			dot_origin(&out, i, k, &l->nodes[i].inputs[k]);
	buf_add_str(&out, "}\n");
	return cli_write(cli, &out);
}

static int print_json(struct cli *cli, const struct cashet_lineage *l)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	/* Sources are told by their hashes. */
	struct cashet_commit *commits = mem_alloc((l->node_count + 1) * sizeof *commits);
	for (size_t i = 0; i < l->node_count; i++)
		commits[i] = l->nodes[i].commit;
	json_begin(&j, &out);
	json_key(&j, "nodes");
	json_array(&j);
	for (size_t i = 0; i < l->node_count; i++) {
		json_object(&j);
		json_commit(&j, &l->nodes[i].commit);
		json_origins(&j, l->nodes[i].inputs, l->nodes[i].input_count, commits);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_key(&j, "cut");
	json_bool(&j, l->cut);
	free(commits);
	return json_finish(cli, &j);
}

int cmd_history(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_lineage *l;
	struct cashet_error e;
	if (s->dot && s->json)
		return cli_usage(cli, "", "--dot or --json, not both");
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (!s->graph && !s->dot)
		return show_commits(cli, ask_runs, (void *)cli->words.items[0]);
	if (cashet_lineage(cli->c, cli->words.items[0], 0, &l, &e))
		return cli_fail(cli, &e);
	code = s->dot	 ? print_dot(cli, l)
	       : s->json ? print_json(cli, l)
			 : print_tree(cli, l);
	cashet_lineage_free(l);
	return code;
}
