/* diff.c - cashet_diff(): two runs side by side. Functions and arguments are compared where the store is
 * (WhyQuery); what they gave is compared here, file by file, each fetched only if it is small. */
#include "client/why.h"

#include "client/diff/json.h"
#include "client/diff/text.h"
#include "common/format/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MAX (16u << 20) /* bytes of the list of a folder's files */
#define ROWS_MAX 2000
#define TEXTS_MAX 64 /* files whose texts are compared */

struct diff {
	struct cashet_diff public; /* first: what callers have */
	struct cashet *c;
	struct answer answer;
	struct cashet_diff_output *outputs;
	size_t output_room, fetched;
};

void cashet_diff_free(struct cashet_diff *public)
{
	if (!public)
		return;
	struct diff *d = container_of(public, struct diff, public);
	answer_fini(&d->answer);
	free(d->outputs);
	free(d);
}

/* ---- one file ---- */

static bool looks_like_json(const struct buf *text)
{
	for (size_t i = 0; i < text->size; i++)
		if (!strchr(" \t\r\n", text->data[i] ? text->data[i] : 'x'))
			return text->data[i] == '{' || text->data[i] == '[';
	return false;
}

static int diff_bytes(struct diff *d, struct cashet_diff_output *o, const struct buf *old,
		      const struct buf *now, struct err *e)
{
	CLEANUP_BUF struct buf text = {0};
	if (looks_like_json(old) && looks_like_json(now)) {
		int64_t found =
			json_diff(&text, old->data, old->size, now->data, now->size);
		if (found == -ENOMEM)
			return handle_no_memory(e);
		o->is_json = found > 0;
	}
	if (!o->is_json) {
		struct text_diff lines;
		buf_reset(&text);
		if (text_diff_make(&lines, old->data, old->size, now->data, now->size))
			return handle_no_memory(e);
		text_diff_render(&text, &lines, NULL, NULL);
		text_diff_fini(&lines);
	}
	o->diff = texts_add(&d->answer.texts, &text);
	return o->diff ? 0 : handle_no_memory(e);
}

static bool is_file(const struct cashet_content *content)
{
	return content->type == CASHET_CONTENT_FILE ||
	       content->type == CASHET_CONTENT_EXEC ||
	       content->type == CASHET_CONTENT_JSON;
}

static int look_inside(struct diff *d, struct cashet_diff_output *o, struct err *e)
{
	CLEANUP_BUF struct buf old = {0}, now = {0};
	if (!is_file(&o->old) || !is_file(&o->now) || o->old.size > TEXT_DIFF_MAX ||
	    o->now.size > TEXT_DIFF_MAX || d->fetched >= TEXTS_MAX)
		return 0;
	d->fetched++;
	int r = why_fetch(d->c, o->old.digest, &old, e);
	if (r == 0)
		r = why_fetch(d->c, o->now.digest, &now, e);
	if (r)
		return r == 1 ? 0 : r;
	return diff_bytes(d, o, &old, &now, e);
}

static bool same_content(const struct cashet_content *a, const struct cashet_content *b)
{
	return a->type == b->type && !memcmp(a->digest, b->digest, sizeof a->digest);
}

/* @old or @now of type NONE: it is not there. */
static int add_output(struct diff *d, const char *name, const struct cashet_content *old,
		      const struct cashet_content *now, struct err *e)
{
	if (d->public.output_count == ROWS_MAX) {
		d->public.outputs_left_out++;
		return 0;
	}
	if (d->public.output_count == d->output_room) {
		size_t room = d->output_room ? 2 * d->output_room : 16;
		struct cashet_diff_output *grown =
			reallocarray(d->outputs, room, sizeof *grown);
		if (!grown)
			return handle_no_memory(e);
		d->outputs = grown;
		d->output_room = room;
	}
	struct cashet_diff_output *o = &d->outputs[d->public.output_count++];
	*o = (struct cashet_diff_output){.name = name, .old = *old, .now = *now};
	o->how = old->type == CASHET_CONTENT_NONE   ? CASHET_ADDED
		 : now->type == CASHET_CONTENT_NONE ? CASHET_REMOVED
		 : same_content(old, now)	    ? CASHET_SAME
						    : CASHET_CHANGED;
	return o->how == CASHET_CHANGED ? look_inside(d, o, e) : 0;
}

/* ---- folders ---- */

static struct cashet_content content_of(const struct content_entry *entry)
{
	struct cashet_content out = {
		.type = entry->content.type == CONTENT_EXEC  ? CASHET_CONTENT_EXEC
			: entry->content.type == CONTENT_DIR ? CASHET_CONTENT_TREE
							     : CASHET_CONTENT_FILE,
		.size = entry->size};
	memcpy(out.digest, entry->content.digest, DIGEST_SIZE);
	return out;
}

static int read_tree(struct diff *d, const struct cashet_content *content,
		     struct content_entries *entries)
{
	void *data;
	size_t size;
	if (content->size > TREE_MAX ||
	    cashet_get_blob_memory(d->c, content->digest, TREE_MAX, &data, &size, NULL))
		return 1;
	int r = content_decode_tree(data, size, entries);
	free(data);
	return r;
}

static int add_file(struct diff *d, const char *folder, const struct content_entry *old,
		    const struct content_entry *now, struct err *e)
{
	static const struct cashet_content none;
	CLEANUP_BUF struct buf name = {0};
	struct cashet_content a = old ? content_of(old) : none,
			      b = now ? content_of(now) : none;
	if (old && now && same_content(&a, &b))
		return 0; /* of a folder only what differs */
	buf_printf(&name, "%s/%s", folder, old ? old->path : now->path);
	const char *kept = texts_add(&d->answer.texts, &name);
	return kept ? add_output(d, kept, &a, &b, e) : handle_no_memory(e);
}

/* Both sorted by path. */
static int diff_trees(struct diff *d, const char *name, const struct content_entries *old,
		      const struct content_entries *now, struct err *e)
{
	int r = 0;
	for (size_t i = 0, k = 0; r == 0 && (i < old->count || k < now->count);) {
		int order = i == old->count ? 1
			    : k == now->count
				    ? -1
				    : strcmp(old->items[i].path, now->items[k].path);
		r = add_file(d, name, order <= 0 ? &old->items[i] : NULL,
			     order >= 0 ? &now->items[k] : NULL, e);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}

static int add_content(struct diff *d, const char *name, const struct cashet_content *old,
		       const struct cashet_content *now, struct err *e)
{
	struct content_entries a = {0}, b = {0};
	int r = add_output(d, name, old, now, e);
	if (r == 0 && old->type == CASHET_CONTENT_TREE &&
	    now->type == CASHET_CONTENT_TREE && !same_content(old, now) &&
	    !read_tree(d, old, &a) && !read_tree(d, now, &b))
		r = diff_trees(d, name, &a, &b, e);
	content_entries_fini(&a);
	content_entries_fini(&b);
	return r;
}

/* ---- what two runs gave ---- */

static bool is_returned(const struct cashet_result *r)
{
	return r->result.type != CASHET_CONTENT_NONE && !r->output_count &&
	       (r->result.type != r->output.type ||
		memcmp(r->result.digest, r->output.digest, sizeof r->result.digest) != 0);
}

static int diff_outputs(struct diff *d, struct err *e)
{
	static const struct cashet_content none;
	const struct cashet_result *a = &d->public.a.result, *b = &d->public.b.result;
	int r = 0;
	for (size_t i = 0, k = 0;
	     r == 0 && (i < a->output_count || k < b->output_count);) {
		int order = i == a->output_count ? 1
			    : k == b->output_count
				    ? -1
				    : strcmp(a->outputs[i].name, b->outputs[k].name);
		r = add_content(d, order <= 0 ? a->outputs[i].name : b->outputs[k].name,
				order <= 0 ? &a->outputs[i].content : &none,
				order >= 0 ? &b->outputs[k].content : &none, e);
		i += order <= 0;
		k += order >= 0;
	}
	/* Of a call; the result of a command is its standard output, or its outputs. */
	if (r == 0 && (is_returned(a) || is_returned(b)))
		r = add_content(d, "result", is_returned(a) ? &a->result : &none,
				is_returned(b) ? &b->result : &none, e);
	if (r == 0 && (a->output.type || b->output.type))
		r = add_content(d, "stdout", &a->output, &b->output, e);
	if (r == 0 && (a->log.type || b->log.type) &&
	    (a->status != CASHET_COMPLETED || b->status != CASHET_COMPLETED))
		r = add_content(d, "stderr", &a->log, &b->log, e);
	d->public.outputs = d->outputs;
	return r;
}

static int fill(struct diff *d, struct err *e)
{
	const Cashet__WhyReply *reply = d->answer.reply;
	struct cashet_diff *out = &d->public;
	if (!reply->earlier)
		return err_set(e, ERR_FAILED, "the answer has only one of the two");
	int r = answer_run(reply->earlier, &d->answer.earlier, &out->a, e);
	if (r == 0)
		r = answer_run(reply->now, &d->answer.now, &out->b, e);
	if (r == 0)
		r = answer_changes(&d->answer, d->c, true, e);
	out->changes = d->answer.changes;
	out->change_count = d->answer.change_count;
	return r ? r : diff_outputs(d, e);
}

static int diff(struct cashet *c, const char *a, const char *b,
		struct cashet_diff **diffp, struct err *e)
{
	struct diff *d = calloc(1, sizeof *d);
	if (!d)
		return handle_no_memory(e);
	d->c = c;
	int r = answer_ask(&d->answer, c, b, a, e);
	if (r == 0)
		r = fill(d, e);
	if (r)
		cashet_diff_free(&d->public);
	else
		*diffp = &d->public;
	return r;
}

int cashet_diff(struct cashet *c, const char *a, const char *b,
		struct cashet_diff **diffp, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, diff(c, a, b, diffp, &e));
}
