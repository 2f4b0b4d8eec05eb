/* kind.c - see kind.h. */
#include "worker/runner/kind.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/task/substitute.h"

#include <stdlib.h>
#include <string.h>

void kinds_init(struct kinds *k)
{
	list_init(&k->all);
}

void kind_ref(struct kind *kind)
{
	kind->refs++;
}

void kind_unref(struct kind *kind)
{
	if (!kind || --kind->refs > 0)
		return;
	list_del(&kind->link);
	for (size_t i = 0; i < kind->secret_count; i++)
		free(kind->secrets[i]);
	free(kind->secrets);
	free(kind->language);
	free(kind->interpreter);
	buf_fini(&kind->env);
	free(kind);
}

static void hash_text(struct sha256 *s, const char *text)
{
	sha256_update(s, text, strlen(text) + 1);
}

static const char *language_of(const struct function *f)
{
	return function_is_call(f) ? f->language : "command";
}

static void make_key(const struct kind_want *want, const struct buf *env,
		     uint8_t key[DIGEST_SIZE])
{
	struct sha256 s;
	sha256_init(&s);
	hash_text(&s, language_of(want->function));
	hash_text(&s, want->interpreter ? want->interpreter : "");
	sha256_update(&s, &env->size, sizeof env->size);
	sha256_update(&s, env->data, env->size);
	sha256_update(&s, &want->secret_count, sizeof want->secret_count);
	for (size_t i = 0; i < want->secret_count; i++)
		hash_text(&s, want->secrets[i]);
	for (size_t i = 0; i < want->resources->count; i++) {
		const struct resource *r = &want->resources->items[i];
		hash_text(&s, r->name);
		sha256_update(&s, &r->amount, sizeof r->amount);
	}
	sha256_final(&s, key);
}

static struct kind *create(struct kinds *k, const struct kind_want *want,
			   const uint8_t key[DIGEST_SIZE])
{
	struct kind *kind = mem_alloc(sizeof *kind);
	memcpy(kind->key, key, DIGEST_SIZE);
	kind->language = mem_strdup(language_of(want->function));
	kind->interpreter = mem_strdup(want->interpreter ? want->interpreter : "");
	kind->resources = *want->resources;
	kind->secret_count = want->secret_count;
	kind->secrets = mem_alloc(want->secret_count * sizeof *kind->secrets);
	for (size_t i = 0; i < want->secret_count; i++)
		kind->secrets[i] = mem_strdup(want->secrets[i]);
	list_add_tail(&k->all, &kind->link);
	return kind;
}

struct kind *kinds_get(struct kinds *k, const struct kind_want *want, struct err *e)
{
	static const struct args none;
	struct function call = {.env = want->function->env,
				.env_count = want->function->env_count};
	const struct substitution s = {&call, &none, NULL};
	CLEANUP_BUF struct buf env = {0};
	uint32_t count = want->outer_count;
	uint8_t key[DIGEST_SIZE];
	buf_add(&env, want->outer->data, want->outer->size);
	/* A command's own values depend on its arguments and say nothing of who checks it. */
	if (function_is_call(want->function) && substitute_env(&env, &count, &s, e))
		return NULL;
	make_key(want, &env, key);
	struct list *at;
	list_for_each (at, &k->all) {
		struct kind *kind = container_of(at, struct kind, link);
		if (memcmp(kind->key, key, DIGEST_SIZE))
			continue;
		kind->refs++;
		return kind;
	}
	struct kind *kind = create(k, want, key);
	kind->env = env;
	env = (struct buf){0};
	kind->env_count = count;
	kind->refs = 1;
	return kind;
}
