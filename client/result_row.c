/* result_row.c - see results.h. A batch may have a million rows, so one struct row is filled over
 * and over, canonical bytes are read in place, and of a function only the names are looked at. */
#include "client/results.h"

#include "client/history.h"
#include "common/format/commit.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

static const char *const statuses[] = {"waiting", "ready",   "running",	 "completed",
				       "failed",  "skipped", "cancelled"};

const char *cashet_status_name(enum cashet_status status)
{
	return (unsigned)status < ARRAY_LEN(statuses) ? statuses[status] : "unknown";
}

void row_fini(struct row *row)
{
	free(row->params);
	free(row->outputs);
	free(row->metrics);
	buf_fini(&row->text);
	buf_fini(&row->error);
	buf_fini(&row->arena);
	*row = (struct row){0};
}

static void *grow(void *array, size_t *capacity, size_t want, size_t item)
{
	if (want <= *capacity && array)
		return array;
	size_t to = want < 8 ? 8 : want;
	void *grown = reallocarray(array, to, item);
	if (grown)
		*capacity = to;
	return grown;
}

#define ROW_GROW(array, capacity, want)                                                  \
	({                                                                               \
		void *grown_ = grow((array), &(capacity), (want), sizeof *(array));      \
		if (grown_)                                                              \
			(array) = grown_;                                                \
		grown_ != NULL;                                                          \
	})

/* ---- functions: ["cashet.function", 1, "command", RUN, ENV, PARAMS, ...] ---- */

static int find_params(const void *description, size_t size, struct cbor_reader *r,
		       uint64_t *count)
{
	uint64_t items, scheme;
	const char *text;
	size_t text_size;
	cbor_reader_init(r, description, size);
	return cbor_read_array(r, &items) || items < 6 ||
	       cbor_read_text(r, &text, &text_size) || cbor_read_uint(r, &scheme) ||
	       scheme != 1 || cbor_read_text(r, &text, &text_size) ||
	       text_size != strlen("command") || memcmp(text, "command", text_size) ||
	       cbor_skip(r) || cbor_skip(r) || cbor_read_array(r, count) || *count > size;
}

/* The order as written, turned round; ignored unless it names every parameter once. */
static int read_order(struct row_function *f)
{
	size_t count = f->param_count;
	if (!count || f->order_count != count)
		return 0;
	uint32_t *places = malloc(count * sizeof *places);
	if (!places)
		return 1;
	memset(places, 0xff, count * sizeof *places);
	for (uint32_t i = 0; i < count; i++) {
		if (f->order[i] >= count || places[f->order[i]] != UINT32_MAX) {
			free(places);
			return 0;
		}
		places[f->order[i]] = i;
	}
	f->places = places;
	return 0;
}

int row_function_read(struct row_function *f)
{
	const void *description = f->description->data;
	size_t size = f->description->len;
	struct cbor_reader r;
	uint64_t count;
	f->read = true;
	f->param_count = 0;
	if (find_params(description, size, &r, &count) || !count)
		return 0;
	/* All names are within the description, each with a head of at least one byte: room for
	 * the NUL. */
	char **params = malloc(count * sizeof *params + size);
	if (!params)
		return 1;
	char *to = (char *)(params + count);
	for (uint64_t i = 0; i < count; i++) {
		const char *text;
		size_t text_size;
		if (cbor_read_text(&r, &text, &text_size)) {
			free(params);
			return 0;
		}
		params[i] = to;
		memcpy(to, text, text_size);
		to[text_size] = '\0';
		to += text_size + 1;
	}
	f->params = params;
	f->param_count = count;
	return read_order(f);
}

void row_function_fini(struct row_function *f)
{
	free(f->params);
	free(f->places);
	*f = (struct row_function){0};
}

/* ---- arguments: [1, [VALUE, ...], [...]] ---- */

static int read_value(struct cbor_reader *r, struct cashet_value *value, struct buf *text)
{
	struct cbor_item item;
	if (cbor_read(r, &item))
		return 1;
	switch (item.type) {
	case CBOR_BOOL:
		*value = (struct cashet_value){.type = CASHET_BOOL,
					       .boolean = item.boolean};
		return 0;
	case CBOR_UINT:
		*value = item.u <= INT64_MAX ? (struct cashet_value){.type = CASHET_INT,
								     .i = (int64_t)item.u}
					     : (struct cashet_value){.type = CASHET_UINT,
								     .u = item.u};
		return 0;
	case CBOR_NEGINT:
		*value = (struct cashet_value){.type = CASHET_INT, .i = item.i};
		return 0;
	case CBOR_DOUBLE:
		*value = (struct cashet_value){.type = CASHET_DOUBLE, .d = item.d};
		return 0;
	case CBOR_TEXT:
		*value = (struct cashet_value){.type = CASHET_STRING,
					       .text = (const char *)text->data +
						       text->size};
		buf_add(text, item.data, item.size); /* room was made: the memory stays */
		buf_add_byte(text, '\0');
		return 0;
	case CBOR_BYTES:
	case CBOR_ARRAY:
	case CBOR_MAP:
	case CBOR_NULL:
		break;
	}
	return 1;
}

int row_fill_params(struct row *row, const void *args, size_t size,
		    const struct row_function *f)
{
	struct cbor_reader r;
	uint64_t items, scheme, count;
	row->result.param_count = 0;
	row->result.params = NULL;
	if (f && f->label_count)
		return row_fill_labels(row, args, size, f->labels, f->label_count);
	if (!f || !f->param_count || !size)
		return 0;
	cbor_reader_init(&r, args, size);
	if (cbor_read_array(&r, &items) || items < 2 || cbor_read_uint(&r, &scheme) ||
	    scheme != 1 || cbor_read_array(&r, &count) || count != f->param_count)
		return 0;
	buf_reset(&row->text);
	if (!ROW_GROW(row->params, row->param_capacity, count) ||
	    !buf_reserve(&row->text, size + count))
		return 1;
	for (uint64_t i = 0; i < count; i++) {
		struct cashet_param *param = &row->params[f->places ? f->places[i] : i];
		param->name = f->params[i];
		if (read_value(&r, &param->value, &row->text))
			return 0;
	}
	row->result.params = row->params;
	row->result.param_count = count;
	return 0;
}

/* ---- rows ---- */

static int fill_lists(struct row *row, const Cashet__TaskResult *t)
{
	struct cashet_result *out = &row->result;
	if (!ROW_GROW(row->outputs, row->output_capacity, t->n_outputs) ||
	    !ROW_GROW(row->metrics, row->metric_capacity, t->n_metrics))
		return 1;
	for (size_t i = 0; i < t->n_outputs; i++)
		row->outputs[i] = (struct cashet_output){
			.name = t->outputs[i]->name,
			.path = t->outputs[i]->path,
			.content = content_from(t->outputs[i]->content),
		};
	for (size_t i = 0; i < t->n_metrics; i++)
		row->metrics[i] = (struct cashet_metric){
			.name = t->metrics[i]->name,
			.is_text = t->metrics[i]->is_text,
			.text = t->metrics[i]->text,
			.number = t->metrics[i]->number,
		};
	out->outputs = row->outputs;
	out->output_count = t->n_outputs;
	out->metrics = row->metrics;
	out->metric_count = t->n_metrics;
	return 0;
}

int row_fill(struct row *row, const Cashet__TaskResult *t,
	     const ProtobufCBinaryData *args, const struct row_function *f)
{
	struct cashet_result *out = &row->result;
	*out = (struct cashet_result){
		.index = t->index,
		.name = f && f->name ? f->name : "",
		.status = (enum cashet_status)t->state,
		.cached = t->cached,
		.deduplicated = t->deduplicated,
		.attempts = t->attempts,
		.exit_code = t->exit_code,
		.term_signal = t->term_signal,
		.result = content_from(t->result),
		.output = content_from(t->stdout_content),
		.log = content_from(t->stderr_content),
		.worker = t->worker,
		.duration_ns = t->duration_ns,
		.error = t->error,
		.upstream = t->upstream,
		.ended_wall_ms = t->ended_wall_ms,
		.best = f ? f->best : NULL,
		.best_count = f ? f->best_count : 0,
	};
	if (wire_is(&t->fingerprint, 2 * DIGEST_SIZE)) {
		out->has_fingerprint = true;
		memcpy(out->func_hash, t->fingerprint.data, DIGEST_SIZE);
		memcpy(out->args_hash, t->fingerprint.data + DIGEST_SIZE, DIGEST_SIZE);
	}
	if (wire_is(&t->commit, DIGEST_SIZE)) {
		out->has_commit = true;
		memcpy(out->commit, t->commit.data, DIGEST_SIZE);
	}
	if (out->status == CASHET_SKIPPED && !*out->error) {
		buf_reset(&row->error);
		buf_printf(&row->error, "task %u, which it needs, failed", t->upstream);
		out->error = buf_cstr(&row->error);
	}
	return fill_lists(row, t) || row_fill_params(row, args->data, args->len, f);
}

static struct cashet_content commit_content(const struct content *in, uint64_t size)
{
	struct cashet_content out = {.type = (enum cashet_content_type)in->type};
	if (out.type == CASHET_CONTENT_NONE)
		return out;
	out.size = size;
	memcpy(out.digest, in->digest, DIGEST_SIZE);
	return out;
}

static struct cashet_content commit_log(bool has, const uint8_t digest[DIGEST_SIZE],
					uint64_t size)
{
	struct content in = {.type = has ? CONTENT_FILE : CONTENT_NONE};
	memcpy(in.digest, digest, DIGEST_SIZE);
	return commit_content(&in, size);
}

int row_fill_commit(struct row *row, const void *body, size_t size,
		    const uint8_t hash[DIGEST_SIZE], const struct row_function *f)
{
	struct commit commit;
	buf_reset(&row->arena);
	if (commit_decode(body, size, &commit, &row->arena))
		return 1;
	if (!ROW_GROW(row->outputs, row->output_capacity, commit.output_count) ||
	    !ROW_GROW(row->metrics, row->metric_capacity, commit.metric_count))
		return 1;
	row->result = (struct cashet_result){
		.index = commit.index,
		.name = commit.name,
		.status = commit.status == COMMIT_COMPLETED ? CASHET_COMPLETED
							    : CASHET_TASK_FAILED,
		.attempts = commit.attempts,
		.exit_code = commit.exit_code,
		.term_signal = commit.term_signal,
		.has_fingerprint = true,
		.has_commit = true,
		.result = commit_content(&commit.result, commit.result_size),
		.output = commit_log(commit.has_stdout, commit.stdout_digest,
				     commit.stdout_size),
		.log = commit_log(commit.has_stderr, commit.stderr_digest,
				  commit.stderr_size),
		.outputs = row->outputs,
		.output_count = commit.output_count,
		.metrics = row->metrics,
		.metric_count = commit.metric_count,
		.worker = commit.worker_name,
		.duration_ns = commit.duration_ns,
		.error = commit.error,
		.ended_wall_ms = commit.ended_wall_ms,
	};
	struct cashet_result *out = &row->result;
	memcpy(out->commit, hash, DIGEST_SIZE);
	memcpy(out->func_hash, commit.func_hash, DIGEST_SIZE);
	sha256_digest(commit.args, commit.args_size, out->args_hash);
	for (size_t i = 0; i < commit.output_count; i++)
		row->outputs[i] = (struct cashet_output){
			.name = commit.outputs[i].name,
			.path = commit.outputs[i].path,
			.content = commit_content(&commit.outputs[i].content,
						  commit.outputs[i].size),
		};
	for (size_t i = 0; i < commit.metric_count; i++)
		row->metrics[i] = (struct cashet_metric){
			.name = commit.metrics[i].name,
			.is_text = commit.metrics[i].is_text,
			.text = commit.metrics[i].text,
			.number = commit.metrics[i].number,
		};
	return row_fill_params(row, commit.args, commit.args_size, f);
}
