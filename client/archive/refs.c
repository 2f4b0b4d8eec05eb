/* refs.c - which blobs a commit, a folder, a list, a result, a function name. */
#include "client/archive/archive.h"

#include "common/format/function.h"
#include "common/format/source.h"

#include <errno.h>
#include <string.h>

static int of_list(const uint8_t *data, size_t size, archive_ref *fn, void *arg)
{
	struct content c;
	int rc = size % CONTENT_SIZE ? -EBADMSG : 0;
	for (size_t at = 0; at < size && !rc; at += CONTENT_SIZE) {
		memcpy(&c, data + at, CONTENT_SIZE);
		rc = c.type == CONTENT_NONE || !content_is_argument(c.type) ? -EBADMSG
									    : fn(arg, &c);
	}
	return rc;
}

static int of_entries(const struct content_entries *entries, archive_ref *fn, void *arg)
{
	int rc = 0;
	for (size_t i = 0; i < entries->count && !rc; i++)
		rc = fn(arg, &entries->items[i].content);
	return rc;
}

static int of_function(const void *data, size_t size, archive_ref *fn, void *arg)
{
	struct function f = {0};
	int rc = 0;
	if (function_decode(data, size, &f))
		return -EBADMSG;
	for (size_t i = 0; i < f.code_count && !rc; i++) {
		struct content c = {.type = CONTENT_FILE};
		memcpy(c.digest, f.code[i].digest, DIGEST_SIZE);
		if (f.code[i].scheme == CODE_BYTES) /* others are in the source */
			rc = fn(arg, &c);
	}
	function_fini(&f);
	return rc;
}

static int of_source(const void *data, size_t size, archive_ref *fn, void *arg)
{
	struct source s = {0};
	int rc = 0;
	if (source_decode(data, size, &s))
		return -EBADMSG;
	for (size_t i = 0; i < s.file_count && !rc; i++) {
		struct content c = {.type = CONTENT_FILE};
		memcpy(c.digest, s.files[i].digest, DIGEST_SIZE);
		rc = fn(arg, &c);
	}
	source_fini(&s);
	return rc;
}

int archive_refs_of_blob(uint64_t type, const void *data, size_t size, archive_ref *fn,
			 void *arg)
{
	struct content_entries entries = {0};
	if (type == CONTENT_LIST)
		return of_list(data, size, fn, arg);
	if (type == ARCHIVE_FUNCTION)
		return of_function(data, size, fn, arg);
	if (type == ARCHIVE_SOURCE)
		return of_source(data, size, fn, arg);
	if (type == CONTENT_TREE ? content_decode_tree(data, size, &entries)
				 : content_decode_result(data, size, &entries))
		return -EBADMSG;
	int rc = of_entries(&entries, fn, arg);
	content_entries_fini(&entries);
	return rc;
}

static int of_inputs(const struct commit *c, archive_ref *fn, void *arg)
{
	struct args args = {0};
	if (args_decode(c->args, c->args_size, &args))
		return -EBADMSG;
	int rc = 0;
	for (size_t i = 0; i < args.input_count && !rc; i++)
		rc = fn(arg, &args.inputs[i].content);
	args_fini(&args);
	return rc;
}

static int of_log(bool has, const uint8_t *digest, archive_ref *fn, void *arg)
{
	struct content log = {.type = CONTENT_FILE};
	memcpy(log.digest, digest, DIGEST_SIZE);
	return has ? fn(arg, &log) : 0;
}

int archive_refs_of_commit(const struct commit *c, bool logs, archive_ref *fn, void *arg)
{
	struct content function = {.type = ARCHIVE_FUNCTION};
	memcpy(function.digest, c->func_hash, DIGEST_SIZE);
	struct content source = {.type = ARCHIVE_SOURCE};
	memcpy(source.digest, c->source, DIGEST_SIZE);
	int rc = fn(arg, &function);
	if (!rc && c->has_source)
		rc = fn(arg, &source);
	if (!rc)
		rc = of_inputs(c, fn, arg);
	/* Before the result, which names them as well. */
	for (size_t i = 0; i < c->output_count && !rc; i++)
		rc = fn(arg, &c->outputs[i].content);
	if (!rc)
		rc = fn(arg, &c->result);
	if (!rc && logs)
		rc = of_log(c->has_stdout, c->stdout_digest, fn, arg);
	if (!rc && logs)
		rc = of_log(c->has_stderr, c->stderr_digest, fn, arg);
	return rc;
}
