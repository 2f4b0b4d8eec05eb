/* history_show.c - one commit with all that is known of it, and what it was made from. */
#include "client/history.h"
#include "client/results.h"
#include "client/target.h"
#include "client/why.h"
#include "common/format/commit.h"
#include "common/format/function.h"
#include "common/format/source.h"

#include <stdlib.h>
#include <string.h>

struct shown { /* what cashet_show() hands out, and what it lives in */
	struct cashet_shown shown;
	struct request *request;
	struct keep keep;
	struct row row;
	struct row_function names;
	struct function decoded;
	struct cashet_function function;
	struct source shipped;
	struct cashet_shipped source;
};

static const struct cashet_pair *pairs_from(const struct function_pair *in, size_t count,
					    struct keep *k)
{
	struct cashet_pair *out = keep_alloc(k, count, sizeof *out);
	for (size_t i = 0; out && i < count; i++)
		out[i] = (struct cashet_pair){.key = in[i].name, .value = in[i].value};
	return out;
}

/* A description that this version does not understand is one that it cannot show. */
static void take_function(struct shown *s, const ProtobufCBinaryData *description)
{
	struct function *f = &s->decoded;
	if (!description->len || function_decode(description->data, description->len, f))
		return;
	struct cashet_function_code *code =
		keep_alloc(&s->keep, f->code_count, sizeof *code);
	for (size_t i = 0; code && i < f->code_count; i++) {
		code[i].path = f->code[i].path;
		code[i].executable = f->code[i].executable;
		memcpy(code[i].digest, f->code[i].digest, DIGEST_SIZE);
	}
	s->function = (struct cashet_function){
		.argv = (const char *const *)f->argv,
		.argc = f->argc,
		.shell = f->shell,
		.env = pairs_from(f->env, f->env_count, &s->keep),
		.env_count = f->env_count,
		.outputs = pairs_from(f->outputs, f->output_count, &s->keep),
		.output_count = f->output_count,
		.code = code,
		.code_count = f->code_count,
		.metrics = f->metrics,
		.salt = f->salt,
		.language = f->language,
		.version = f->version,
	};
	s->shown.function = &s->function;
}

static void take_unit(struct cashet_source_unit *to, const struct source_unit *u,
		      struct keep *k)
{
	struct cashet_source_package *packages =
		keep_alloc(k, u->package_count, sizeof *packages);
	for (size_t i = 0; packages && i < u->package_count; i++)
		packages[i] =
			(struct cashet_source_package){.name = u->packages[i].name,
						       .version = u->packages[i].version,
						       .counts = u->packages[i].counts};
	*to = (struct cashet_source_unit){.language = u->language,
					  .path = u->path,
					  .name = u->name,
					  .packages = packages,
					  .package_count = u->package_count,
					  .flags = (const char *const *)u->flags,
					  .flag_count = u->flag_count};
	memcpy(to->hash, u->hash, DIGEST_SIZE);
	memcpy(to->identity, u->identity, DIGEST_SIZE);
	for (size_t i = 0; u->name && i < u->definition_count && !to->file; i++)
		if (!strcmp(u->definitions[i].label, u->name)) {
			to->file = u->definitions[i].path;
			to->line = u->definitions[i].line;
		}
}

static int take_source(struct shown *s, struct cashet *c, struct err *e)
{
	const ProtobufCBinaryData *body = &s->request->reply->show_reply->body;
	CLEANUP_BUF struct buf arena = {0}, data = {0};
	struct commit commit;
	const struct source *from = &s->shipped;
	if (commit_decode(body->data, body->len, &commit, &arena) || !commit.has_source)
		return 0;
	int r = why_read(c, commit.source, &data, e);
	if (r || source_decode(data.data, data.size, &s->shipped))
		return r == 1 ? 0 : r; /* it is not there, or is none */
	struct cashet_function_code *files =
		keep_alloc(&s->keep, from->file_count, sizeof *files);
	struct cashet_source_unit *units =
		keep_alloc(&s->keep, from->unit_count, sizeof *units);
	for (size_t i = 0; files && i < from->file_count; i++) {
		files[i].path = from->files[i].path;
		files[i].executable = from->files[i].executable;
		memcpy(files[i].digest, from->files[i].digest, DIGEST_SIZE);
	}
	for (size_t i = 0; units && i < from->unit_count; i++)
		take_unit(&units[i], &from->units[i], &s->keep);
	s->source = (struct cashet_shipped){.files = files,
					    .file_count = from->file_count,
					    .units = units,
					    .unit_count = from->unit_count};
	memcpy(s->source.digest, commit.source, DIGEST_SIZE);
	s->shown.source = &s->source;
	return s->keep.failed ? handle_no_memory(e) : 0;
}

/* Of a call, all arguments; of a command they are there already. */
static int take_args(struct shown *s, struct err *e)
{
	const ProtobufCBinaryData *body = &s->request->reply->show_reply->body;
	CLEANUP_BUF struct buf arena = {0};
	struct commit commit;
	if (commit_decode(body->data, body->len, &commit, &arena) ||
	    !call_args_begin(commit.args, commit.args_size))
		return 0;
	return row_fill_all(&s->row, commit.args, commit.args_size)
		       ? err_set(e, ERR_FAILED, "the commit's arguments cannot be read")
		       : 0;
}

static int take_reply(struct shown *s, struct err *e)
{
	const Cashet__ShowReply *r = s->request->reply->show_reply;
	struct cashet_shown *out = &s->shown;
	s->names.description = &r->description;
	if (row_function_read(&s->names))
		return handle_no_memory(e);
	if (!r->row || !wire_is(&r->row->commit, DIGEST_SIZE) ||
	    row_fill_commit(&s->row, r->body.data, r->body.len, r->row->commit.data,
			    &s->names))
		return err_set(e, ERR_FAILED,
			       "the broker sent a commit that cannot be read");
	commit_from(&out->commit, r->row, &s->keep);
	out->result = &s->row.result;
	take_function(s, &r->description);
	out->inputs = origins_from(r->inputs, r->n_inputs, r->n_sources, &s->keep);
	out->input_count = r->n_inputs;
	struct cashet_commit *sources =
		keep_alloc(&s->keep, r->n_sources, sizeof *sources);
	for (size_t i = 0; sources && i < r->n_sources; i++)
		commit_from(&sources[i], r->sources[i], &s->keep);
	out->sources = sources;
	out->source_count = r->n_sources;
	out->hits = r->hits;
	out->last_used_wall_ms = r->last_used_ms;
	out->pins = (const char *const *)r->pins;
	out->pin_count = r->n_pins;
	return s->keep.failed ? handle_no_memory(e) : 0;
}

static int show(struct cashet *c, const char *what, struct cashet_shown **sp,
		struct err *e)
{
	struct target target;
	int failed = target_parse(what, &target, e);
	if (failed)
		return failed;
	Cashet__ShowQuery query = CASHET__SHOW_QUERY__INIT;
	query.target = &target.message;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_SHOW_QUERY;
	envelope.show_query = &query;
	struct shown *s = calloc(1, sizeof *s);
	if (!s)
		return handle_no_memory(e);
	failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_SHOW_REPLY, &s->request,
			     e);
	if (!failed)
		failed = take_reply(s, e);
	if (!failed)
		failed = take_args(s, e);
	if (!failed)
		failed = take_source(s, c, e);
	if (failed)
		cashet_shown_free(&s->shown);
	else
		*sp = &s->shown;
	return failed;
}

int cashet_show(struct cashet *c, const char *what, struct cashet_shown **sp,
		struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, show(c, what, sp, &e));
}

void cashet_shown_free(struct cashet_shown *shown)
{
	if (!shown)
		return;
	struct shown *s = container_of(shown, struct shown, shown);
	request_free(s->request);
	keep_fini(&s->keep);
	row_fini(&s->row);
	row_function_fini(&s->names);
	function_fini(&s->decoded);
	source_fini(&s->shipped);
	free(s);
}

/* ---- lineage ---- */

struct lineage {
	struct cashet_lineage lineage;
	struct request *request;
	struct keep keep;
};

static int take_graph(struct lineage *l, struct err *e)
{
	static const Cashet__CommitRow unreadable = CASHET__COMMIT_ROW__INIT;
	const Cashet__GraphReply *r = l->request->reply->graph_reply;
	struct cashet_node *nodes = keep_alloc(&l->keep, r->n_nodes, sizeof *nodes);
	for (size_t i = 0; nodes && i < r->n_nodes; i++) {
		const Cashet__GraphNode *n = r->nodes[i];
		commit_from(&nodes[i].commit, n->commit ? n->commit : &unreadable,
			    &l->keep);
		nodes[i].inputs =
			origins_from(n->inputs, n->n_inputs, r->n_nodes, &l->keep);
		nodes[i].input_count = n->n_inputs;
	}
	l->lineage = (struct cashet_lineage){
		.nodes = nodes, .node_count = r->n_nodes, .cut = r->cut};
	if (!r->n_nodes)
		return err_set(e, ERR_FAILED, "the broker sent nothing");
	return l->keep.failed ? handle_no_memory(e) : 0;
}

static int lineage(struct cashet *c, const char *what, uint32_t max,
		   struct cashet_lineage **lp, struct err *e)
{
	struct target target;
	int failed = target_parse(what, &target, e);
	if (failed)
		return failed;
	Cashet__GraphQuery query = CASHET__GRAPH_QUERY__INIT;
	query.target = &target.message;
	query.max = max;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_GRAPH_QUERY;
	envelope.graph_query = &query;
	struct lineage *l = calloc(1, sizeof *l);
	if (!l)
		return handle_no_memory(e);
	failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_GRAPH_REPLY,
			     &l->request, e);
	if (!failed)
		failed = take_graph(l, e);
	if (failed)
		cashet_lineage_free(&l->lineage);
	else
		*lp = &l->lineage;
	return failed;
}

int cashet_lineage(struct cashet *c, const char *what, uint32_t max,
		   struct cashet_lineage **lp, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, lineage(c, what, max, lp, &e));
}

void cashet_lineage_free(struct cashet_lineage *lineage)
{
	if (!lineage)
		return;
	struct lineage *l = container_of(lineage, struct lineage, lineage);
	request_free(l->request);
	keep_fini(&l->keep);
	free(l);
}
