/* show_commit.c - how commits of the history look: sizes, times, tags; and their JSON. */
#include "client/cli/cli.h"

#include "common/num.h"

#include <string.h>
#include <time.h>

void show_size(struct buf *out, uint64_t bytes)
{
	num_add_size(out, bytes);
}

void show_time(struct buf *out, uint64_t wall_ms)
{
	char text[64];
	struct tm local;
	time_t seconds = (time_t)(wall_ms / 1000);
	if (!localtime_r(&seconds, &local) ||
	    !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local))
		text[0] = '\0';
	buf_add_str(out, text);
}

void show_text(const struct cli *cli, struct buf *out, const char *text)
{
	if (cli->tty_out)
		text_escape(out, text, strlen(text));
	else
		buf_add_str(out, text);
}

void show_tags(const struct cli *cli, struct buf *out, const struct cashet_commit *c)
{
	for (size_t i = 0; i < c->tag_count; i++) {
		const struct cashet_pair *tag = &c->tags[i];
		buf_add_str(out, i ? ", " : "");
		show_text(cli, out, tag->key);
		if (!*tag->value)
			continue;
		buf_add_byte(out, '=');
		show_text(cli, out, tag->value);
	}
}

static void text_or_null(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_string(j, text);
	else
		json_null(j);
}

static void json_tags(struct json *j, const struct cashet_commit *c)
{
	json_key(j, "tags");
	json_array(j);
	for (size_t i = 0; i < c->tag_count; i++) {
		json_object(j);
		json_key(j, "key");
		json_string(j, c->tags[i].key);
		json_key(j, "value");
		json_string(j, c->tags[i].value);
		json_end_object(j);
	}
	json_end_array(j);
}

void json_commit(struct json *j, const struct cashet_commit *c)
{
	json_hash(j, "commit", true, c->commit);
	json_key(j, "name");
	json_string(j, c->name);
	json_key(j, "status");
	json_string(j, c->failed ? "failed" : "completed");
	json_key(j, "size");
	json_uint(j, c->size);
	json_key(j, "duration_ms");
	json_double(j, (double)(c->duration_ns / 1000) / 1000);
	json_key(j, "ended_ms");
	json_uint(j, c->ended_wall_ms);
	json_key(j, "expires_ms");
	if (c->expires_wall_ms)
		json_uint(j, c->expires_wall_ms);
	else
		json_null(j);
	json_tags(j, c);
	text_or_null(j, "error", c->error);
	text_or_null(j, "worker", c->worker);
	json_hash(j, "func_hash", true, c->func_hash);
	json_hash(j, "args_hash", true, c->args_hash);
	json_hash(j, "parent", c->has_parent, c->parent);
	json_hash(j, "batch", true, c->batch);
	json_key(j, "index");
	json_uint(j, c->index);
}

void json_origins(struct json *j, const struct cashet_origin *inputs, size_t count,
		  const struct cashet_commit *commits)
{
	json_key(j, "inputs");
	json_array(j);
	for (size_t i = 0; i < count; i++) {
		const struct cashet_origin *o = &inputs[i];
		json_object(j);
		json_key(j, "name");
		json_string(j, o->name);
		json_key(j, "files");
		json_array(j);
		for (size_t k = 0; k < o->file_count; k++)
			json_string(j, o->files[k]);
		json_end_array(j);
		json_hash(j, "digest", o->content.type != CASHET_CONTENT_NONE,
			  o->content.digest);
		json_key(j, "commits");
		json_array(j);
		for (size_t k = 0; k < o->source_count; k++)
			json_hex(j, commits[o->sources[k]].commit, 32);
		json_end_array(j);
		json_key(j, "parts");
		json_uint(j, o->parts);
		json_key(j, "supplied");
		json_uint(j, o->supplied);
		json_key(j, "unknown");
		json_uint(j, o->unknown);
		json_end_object(j);
	}
	json_end_array(j);
}
