/* mark.c - what there is and what needs it, read from a store into a graph.
 *
 * A source is a folder of code: whoever needs it needs its files.
 * What is needed whatever the policy says: everything that batches name that have not ended, with the
 * commits that their tasks ended with or that ran under them; what is pinned, with its inputs;
 * checkpoints. All else hangs on the commits, which may go. */
#include "broker/care/gc.h"

#include "broker/care/guard.h"
#include "common/format/source.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>

#define CONTAINER_MAX (256u << 20) /* bytes of a folder's list, as presence.c has it */
#define STOP 1

static const uint8_t no_digest[DIGEST_SIZE];

static bool is_nothing(const uint8_t *digest)
{
	return memcmp(digest, sha256_empty, DIGEST_SIZE) == 0 ||
	       memcmp(digest, no_digest, DIGEST_SIZE) == 0;
}

static bool is_container(uint8_t type)
{
	return type == CONTENT_TREE || type == CONTENT_LIST || type == CONTENT_RESULT ||
	       type == GC_FUNCTION || type == GC_SOURCE;
}

static void look_into(struct gc *gc, uint32_t node, uint8_t type, const uint8_t *digest,
		      bool hold)
{
	mem_grow(gc->roots, gc->root_count, gc->root_capacity);
	struct gc_root *r = &gc->roots[gc->root_count++];
	*r = (struct gc_root){.node = node, .type = type, .hold = hold};
	memcpy(r->digest, digest, DIGEST_SIZE);
}

static void need(struct gc *gc, uint8_t type, const uint8_t *digest)
{
	if (!is_nothing(digest) && type != CONTENT_EXTERN)
		look_into(gc, graph_node(gc->graph, digest), type, digest, true);
}

/* ---- what is stored ---- */

static int add_object(void *arg, const uint8_t digest[DIGEST_SIZE], uint64_t bytes)
{
	struct gc *gc = arg;
	graph_bytes(gc->graph, graph_node(gc->graph, digest), bytes);
	care_progress(gc->care, "files", 0, 0);
	return care_stopped(gc->care) ? STOP : 0;
}

static int add_row(void *arg, uint64_t seq, const uint8_t digest[DIGEST_SIZE],
		   uint64_t size)
{
	struct gc *gc = arg;
	(void)seq;
	graph_bytes(gc->graph, graph_node(gc->graph, digest), size + INLINE_OVERHEAD);
	return care_stopped(gc->care) ? STOP : 0;
}

/* ---- functions ---- */

static void add_code(struct gc *gc, uint32_t node, const void *description, size_t size)
{
	struct function f = {0};
	if (function_decode(description, size, &f))
		return;
	for (size_t i = 0; i < f.code_count; i++) /* others are in a source */
		if (f.code[i].scheme == CODE_BYTES && !is_nothing(f.code[i].digest))
			graph_child(gc->graph, node,
				    graph_node(gc->graph, f.code[i].digest));
	function_fini(&f);
}

static void add_files(struct gc *gc, uint32_t node, const void *data, size_t size)
{
	struct source s = {0};
	if (source_decode(data, size, &s))
		return;
	for (size_t i = 0; i < s.file_count; i++)
		if (!is_nothing(s.files[i].digest))
			graph_child(gc->graph, node,
				    graph_node(gc->graph, s.files[i].digest));
	source_fini(&s);
}

static void add_function(struct gc *gc, const Cashet__Function *function, bool live)
{
	const ProtobufCBinaryData *description = &function->description;
	uint8_t hash[DIGEST_SIZE];
	sha256_digest(description->data, description->len, hash);
	uint32_t node = graph_node(gc->graph, hash);
	if (set64_put(&gc->functions, care_word(hash), 0))
		add_code(gc, node, description->data, description->len);
	if (live)
		need(gc, CONTENT_FILE, hash);
	if (live && wire_is(&function->source, DIGEST_SIZE))
		need(gc, GC_SOURCE, function->source.data);
}

/* ---- batches ---- */

static void need_inputs(struct gc *gc, const ProtobufCBinaryData *data)
{
	struct args args = {0};
	if (!args_may_have_inputs(data->data, data->len) ||
	    args_decode(data->data, data->len, &args))
		return;
	for (size_t i = 0; i < args.input_count; i++)
		need(gc, args.inputs[i].content.type, args.inputs[i].content.digest);
	args_fini(&args);
}

static void need_chunk(struct gc *gc, const Cashet__SubmitChunk *c)
{
	for (size_t i = 0; i < c->n_tasks; i++)
		need_inputs(gc, &c->tasks[i]->args);
	for (size_t i = 0; i < c->n_groups; i++)
		for (size_t k = 0; k < c->groups[i]->n_ranges; k++) {
			const ProtobufCBinaryData *d = &c->groups[i]->ranges[k]->content;
			if (wire_is(d, CONTENT_SIZE))
				need(gc, d->data[0], d->data + 1);
		}
}

static int keep_end(void *arg, const struct ledger_end *end)
{
	struct gc *gc = arg;
	if (end->commit)
		set64_put(&gc->live_commits, end->commit, 0);
	return 0;
}

static int need_checkpoint(void *arg, const struct ledger_checkpoint *checkpoint)
{
	struct gc *gc = arg;
	Cashet__Checkpoint *c =
		cashet__checkpoint__unpack(NULL, checkpoint->size, checkpoint->body);
	if (c && c->content && wire_is(&c->content->digest, DIGEST_SIZE))
		need(gc, (uint8_t)c->content->type, c->content->digest.data);
	if (c)
		cashet__checkpoint__free_unpacked(c, NULL);
	return 0;
}

static int add_batch(struct gc *gc, const struct ledger_batch_row *row, bool live)
{
	CLEANUP_BUF struct buf data = {0};
	Cashet__SubmitChunk *c;
	/* The count of one that is still being sent is not recorded. */
	uint32_t count = row->sealed ? row->chunk_count : UINT32_MAX;
	for (uint32_t i = 0; i < count; i++) {
		if (care_chunk(gc->care, row->batch.batch, i, &data, &c))
			break;
		for (size_t k = 0; k < c->n_functions; k++)
			add_function(gc, c->functions[k], live);
		if (live)
			need_chunk(gc, c);
		if (care_stopped(gc->care))
			return STOP;
	}
	care_progress(gc->care, "batches", ++gc->batches, 0);
	if (!live)
		return 0;
	set64_put(&gc->live_batches, care_word(row->batch.id), 0);
	int rc = ledger_each_end(gc->reader, row->batch.batch, keep_end, gc);
	if (!rc)
		rc = ledger_each_checkpoint(gc->reader, row->batch.batch, need_checkpoint,
					    gc);
	return rc;
}

static int add_ended(void *arg, const struct ledger_batch_row *row)
{
	return row->ended ? add_batch(arg, row, false) : 0;
}

static int add_open(void *arg, const struct ledger_batch_row *row)
{
	return add_batch(arg, row, true);
}

static int add_pin(void *arg, const struct ledger_pin *pin)
{
	struct gc *gc = arg;
	set64_put(&gc->pinned, care_word(pin->hash), 0);
	return 0;
}

/* ---- commits ---- */

void gc_commit_refs(const struct commit *c,
		    void (*fn)(void *arg, char kind, const struct content *content),
		    void *arg)
{
	bool completed = c->status == COMMIT_COMPLETED;
	bool is_log = !completed || !c->has_stdout ||
		      memcmp(c->stdout_digest, c->result.digest, DIGEST_SIZE) != 0;
	struct content log = {.type = CONTENT_FILE};
	if (completed)
		fn(arg, 'o', &c->result);
	for (size_t i = 0; i < c->output_count; i++)
		fn(arg, 'o', &c->outputs[i].content);
	memcpy(log.digest, c->stdout_digest, DIGEST_SIZE);
	if (c->has_stdout && is_log)
		fn(arg, 'l', &log);
	memcpy(log.digest, c->stderr_digest, DIGEST_SIZE);
	if (c->has_stderr)
		fn(arg, 'l', &log);
	struct args args = {0};
	if (!args_may_have_inputs(c->args, c->args_size) ||
	    args_decode(c->args, c->args_size, &args))
		return;
	for (size_t i = 0; i < args.input_count; i++)
		if (args.inputs[i].content.type != CONTENT_EXTERN)
			fn(arg, 'i', &args.inputs[i].content);
	args_fini(&args);
}

struct adding {
	struct gc *gc;
	const struct commit *commit;
	uint32_t result; /* node of the manifest */
};

static void add_ref(void *arg, char kind, const struct content *content)
{
	struct adding *a = arg;
	struct graph *g = a->gc->graph;
	if (is_nothing(content->digest))
		return;
	uint32_t node = graph_node(g, content->digest);
	bool is_manifest = kind == 'o' && content->type == CONTENT_RESULT;
	if (kind == 'o' && a->result != GRAPH_NONE)
		graph_child(g, a->result, node);
	/* A manifest is made of the outputs, which are known; it need not be read. */
	if (is_manifest && !graph_has_children(g, node))
		a->result = node;
	else if (!is_manifest && is_container(content->type) &&
		 !graph_has_children(g, node))
		look_into(a->gc, node, content->type, content->digest, false);
	if (kind == 'o')
		graph_output(g, node);
	else if (kind == 'l')
		graph_log(g, node);
	else
		graph_input(g, node);
}

static uint64_t expiry(const struct commit *c)
{
	return c->ttl_s ? c->ended_wall_ms + c->ttl_s * 1000 : 0;
}

static uint64_t print_of(const struct commit *c)
{
	uint8_t args_hash[DIGEST_SIZE];
	sha256_digest(c->args, c->args_size, args_hash);
	return care_word(c->func_hash) * 0x9e3779b97f4a7c15ull ^ care_word(args_hash);
}

/* A batch that goes on ended a task with it; or it ran under one; or it is the same work, made again
 * since, perhaps under a batch that has ended: readers may have been given either. */
static bool is_live(struct gc *gc, const struct ledger_commit_row *row,
		    const struct commit *c)
{
	bool live = set64_has(&gc->live_commits, row->seq);
	if (live)
		set64_put(&gc->live_prints, print_of(c), 0);
	return live || set64_has(&gc->live_batches, care_word(c->batch)) ||
	       (gc->live_prints.count && set64_has(&gc->live_prints, print_of(c)));
}

static void add_commit(struct gc *gc, const struct ledger_commit_row *row,
		       const struct commit *c)
{
	struct adding a = {gc, c, GRAPH_NONE};
	uint64_t used = row->last_used_ms > c->ended_wall_ms ? row->last_used_ms
							     : c->ended_wall_ms;
	uint32_t commit = graph_commit(
		gc->graph,
		&(struct graph_commit){.seq = row->seq,
				       .used_ms = used,
				       .expires_ms = expiry(c),
				       .duration_ns = c->duration_ns,
				       .record_bytes = row->size + COMMIT_OVERHEAD,
				       .completed = c->status == COMMIT_COMPLETED});
	gc_commit_refs(c, add_ref, &a);
	uint32_t function = graph_node(gc->graph, c->func_hash);
	graph_code(gc->graph, function);
	if (set64_put(&gc->functions, care_word(c->func_hash), 0))
		look_into(gc, function, GC_FUNCTION, c->func_hash, false);
	if (c->has_source) {
		uint32_t source = graph_node(gc->graph, c->source);
		graph_code(gc->graph, source);
		if (set64_put(&gc->sources, care_word(c->source), 0))
			look_into(gc, source, GC_SOURCE, c->source, false);
	}
	bool pinned = set64_has(&gc->pinned, care_word(row->hash));
	if (pinned || is_live(gc, row, c))
		graph_keep(gc->graph, commit, pinned);
}

static int take_commit(void *arg, const struct ledger_commit_row *row)
{
	struct gc *gc = arg;
	struct commit c;
	if (row->seq > gc->last || care_stopped(gc->care))
		return row->seq > gc->last ? 2 : STOP;
	buf_reset(&gc->arena);
	if (row->body && !commit_decode(row->body, row->size, &c, &gc->arena))
		add_commit(gc, row, &c);
	else
		log_warn("gc passes over a damaged commit", "seq=%llu",
			 (unsigned long long)row->seq);
	care_progress(gc->care, "commits", row->seq, gc->last);
	return 0;
}

/* ---- what is in folders, lists, manifests ---- */

static int read_blob(struct gc *gc, const uint8_t *digest, struct buf *data)
{
	buf_reset(data);
	int rc = ledger_find_blob(gc->reader, digest, data);
	return rc == 1 ? cas_read(gc->care->b->cas, digest, CONTAINER_MAX, data) : rc;
}

static void add_child(struct gc *gc, uint32_t parent, const struct content *child)
{
	if (is_nothing(child->digest) || child->type == CONTENT_EXTERN)
		return;
	uint32_t node = graph_node(gc->graph, child->digest);
	graph_child(gc->graph, parent, node);
	if (is_container(child->type))
		look_into(gc, node, child->type, child->digest, false);
}

static void add_entries(struct gc *gc, const struct gc_root *r, const struct buf *data)
{
	struct content_entries entries = {0};
	struct content c;
	if (r->type == CONTENT_LIST) {
		for (size_t at = 0; at + CONTENT_SIZE <= data->size; at += CONTENT_SIZE) {
			memcpy(&c, data->data + at, CONTENT_SIZE);
			add_child(gc, r->node, &c);
		}
		return;
	}
	if (r->type == CONTENT_TREE
		    ? content_decode_tree(data->data, data->size, &entries)
		    : content_decode_result(data->data, data->size, &entries))
		return;
	for (size_t i = 0; i < entries.count; i++)
		if (entries.items[i].content.type != CONTENT_DIR)
			add_child(gc, r->node, &entries.items[i].content);
	content_entries_fini(&entries);
}

static int look_into_all(struct gc *gc)
{
	CLEANUP_BUF struct buf data = {0};
	for (size_t i = 0; i < gc->root_count; i++) { /* grows */
		struct gc_root r = gc->roots[i];
		if (care_stopped(gc->care))
			return STOP;
		if (!is_container(r.type) || graph_has_children(gc->graph, r.node) ||
		    !graph_is_stored(gc->graph, r.node) || read_blob(gc, r.digest, &data))
			continue;
		if (r.type == GC_FUNCTION)
			add_code(gc, r.node, data.data, data.size);
		else if (r.type == GC_SOURCE)
			add_files(gc, r.node, data.data, data.size);
		else
			add_entries(gc, &r, &data);
		care_progress(gc->care, "folders", i, gc->root_count);
	}
	return 0;
}

/* ---- all of it ---- */

static void watch_list(void *arg, const uint8_t digest[DIGEST_SIZE])
{
	guard_digest(arg, digest);
}

static int begin(struct broker *b, void *arg)
{
	(void)arg;
	guard_watch(b, true);
	reports_guard(b);
	core_each_list(b->core, watch_list, b);
	return 0;
}

int gc_mark(struct gc *gc)
{
	struct ledger_tops tops;
	/* Once the call is over, all that was decided before the watch began is on disk. */
	int rc = care_call(gc->care, begin, NULL, true);
	if (!rc)
		rc = ledger_read_tops(gc->reader, &tops);
	if (rc)
		return rc;
	gc->last = tops.commit;
	rc = cas_each(gc->care->b->cas, add_object, gc);
	if (!rc)
		rc = ledger_each_inline(gc->reader, 0, add_row, gc);
	if (!rc)
		rc = ledger_each_open_batch(gc->reader, add_open, gc);
	if (!rc) /* second, so that one that ends meanwhile is in either */
		rc = ledger_list_batches(gc->reader, 0, add_ended, gc);
	if (!rc)
		rc = ledger_each_pin(gc->reader, add_pin, gc);
	if (!rc)
		rc = ledger_each_commit(gc->reader, LEDGER_OLDEST_FIRST | LEDGER_WITH_USE,
					0, take_commit, gc);
	if (rc == 2)
		rc = 0;
	if (!rc)
		rc = look_into_all(gc);
	if (rc)
		return rc;
	graph_settle(gc->graph);
	for (size_t i = 0; i < gc->root_count; i++)
		if (gc->roots[i].hold)
			graph_hold(gc->graph, gc->roots[i].node);
	return 0;
}
