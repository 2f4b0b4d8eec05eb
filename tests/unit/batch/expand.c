/* expand.c - what a batch file becomes: order, values, references, options. Golden texts: a change
 * here is a change of identity, and empties people's caches. */
#include "sample.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE .init = sample_begin, .fini = sample_end

Test(batch_expand, the_digits_sweep_is_expanded_in_file_order, SAMPLE)
{
	sample_write("digits.csv.gz", "x\n");
	sample_write("prep.py", "p\n");
	sample_write("train.py", "t\n");
	sample_write("lib/a.py", "a\n");
	const char *dump =
		sample_text("sweep.yaml",
			    "version: 1\n"
			    "name: digits\n"
			    "defaults: {retries: 1, timeout: 10m, resources: {cpus: 1, "
			    "memory: 1GiB}, tags: "
			    "{experiment: v3}}\n"
			    "tasks:\n"
			    "  prep:\n"
			    "    run: [python3, prep.py, --out, \"${outputs.data}\"]\n"
			    "    code: [prep.py]\n"
			    "    inputs: {src: {file: digits.csv.gz}}\n"
			    "    outputs: {data: data.npz}\n"
			    "  train:\n"
			    "    run: [python3, train.py, --data, \"${inputs.data}\", "
			    "--lr, \"${p.lr}\"]\n"
			    "    code: [train.py, lib/]\n"
			    "    inputs: {data: {ref: prep.data}}    # TaskRef by name\n"
			    "    sweep:\n"
			    "      params:\n"
			    "        lr: {log_uniform: [1e-4, 1e-1], n: 4}\n"
			    "        opt: [adam, sgd]\n"
			    "        seed: {range: [0, 2]}\n"
			    "      exclude: [{opt: sgd, lr: {gt: 0.005}}]\n"
			    "      include: [{opt: lion, lr: 3e-4, seed: 0}]\n"
			    "    outputs: {weights: weights.bin}\n"
			    "    metrics: {from: metrics.json, best: {val_loss: min}}\n"
			    "    env: {OMP_NUM_THREADS: \"1\"}\n"
			    "    cache: {mode: use, ttl: 30d, salt: a}\n"
			    "  report:\n"
			    "    run: cat ${inputs.weights}\n"
			    "    inputs: {weights: {ref: \"train.*.weights\"}}\n"
			    "policy: {max_failures: 10, max_parallel: 64}\n");
	cr_expect_str_eq(
		dump,
		"upload digits.csv.gz 2 73cb\n"
		"upload prep.py 2 fd66\n"
		"upload a.py 2 8742\n"
		"upload train.py 2 fe8e\n"
		"batch digits sweep.yaml failures=10 parallel=64\n"
		"options cpus=1000 memory=1073741824 retries=1 timeout=600000ms "
		"grace=5000ms priority=0 cache=0 ttl=0\n"
		"options cpus=1000 memory=1073741824 retries=1 timeout=600000ms "
		"grace=5000ms priority=0 cache=0 ttl=2592000 best=val_loss:min\n"
		"options cpus=1000 memory=1073741824 retries=1 timeout=600000ms "
		"grace=5000ms priority=0 cache=0 ttl=0 stdout\n"
		"function prep options=0 python3 prep.py --out ${outputs.data} in:src "
		"out:data=data.npz code:prep.py:fd66 tag:experiment=v3\n"
		"function train options=1 python3 train.py --data ${inputs.data} --lr "
		"${p.lr} env:OMP_NUM_THREADS=1 p:lr p:opt p:seed in:data "
		"out:weights=weights.bin code:lib/a.py:8742 code:train.py:fe8e "
		"metrics:metrics.json salt:a tag:experiment=v3\n"
		"function report options=2 'cat ${inputs.weights}' in:weights "
		"tag:experiment=v3\n"
		"group 1+13.2\n"
		"task f=0 digits.csv.gz=type1:73cb\n"
		"task f=1 (0.0001,'adam',0) data.npz=0.2\n"
		"task f=1 (0.0001,'adam',1) data.npz=0.2\n"
		"task f=1 (0.0001,'sgd',0) data.npz=0.2\n"
		"task f=1 (0.0001,'sgd',1) data.npz=0.2\n"
		"task f=1 (0.001,'adam',0) data.npz=0.2\n"
		"task f=1 (0.001,'adam',1) data.npz=0.2\n"
		"task f=1 (0.001,'sgd',0) data.npz=0.2\n"
		"task f=1 (0.001,'sgd',1) data.npz=0.2\n"
		"task f=1 (0.01,'adam',0) data.npz=0.2\n"
		"task f=1 (0.01,'adam',1) data.npz=0.2\n"
		"task f=1 (0.1,'adam',0) data.npz=0.2\n"
		"task f=1 (0.1,'adam',1) data.npz=0.2\n"
		"task f=1 (0.0003,'lion',0) data.npz=0.2\n"
		"task f=2 weights.bin=group0\n",
		"%s", dump);
}

Test(batch_expand, a_list_has_numbers_names_and_forward_references, SAMPLE)
{
	const char *dump = sample_text(
		"list.yaml",
		"version: 1\n"
		"tasks:\n"
		"  - {run: [/usr/bin/sort, \"${inputs.a}\", \"${inputs.b}\"],\n"
		"     inputs: {b: {ref: 1.out}, a: {ref: shards.*}}}\n"
		"  - {run: make it, outputs: {out: a/b.txt, aux: c.txt}, needs: [2]}\n"
		"  - {name: shards, run: [split, \"${p.i}\"], sweep: {params: {i: "
		"{range: [3, 0, -1]}}}}\n"
		"  - {name: shards, run: [split, all]}\n"
		"  - {run: ls, inputs: {x: {ref: \"2.*.stdout\", failed: skip}}, needs: "
		"[1, shards, 3]}\n");
	cr_expect_str_eq(
		dump,
		"batch  list.yaml failures=0 parallel=0\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0 stdout\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0\n"
		"function sort options=0 /usr/bin/sort ${inputs.a} ${inputs.b} in:a "
		"in:b\n"
		"function make options=1 'make it' out:aux=c.txt out:out=a/b.txt\n"
		"function shards options=0 split ${p.i} p:i\n"
		"function shards options=0 split all\n"
		"function ls options=0 'ls' in:x\n"
		"group 2+4.0\n"
		"group 2+3.1 skip\n"
		"task f=0 stdout=group0 b.txt=1.3\n"
		"task f=1 needs 2,3,4\n"
		"task f=2 (3)\n"
		"task f=2 (2)\n"
		"task f=2 (1)\n"
		"task f=3\n"
		"task f=4 stdout=group1 needs 1,2,3,4,5\n",
		"%s", dump);
}

Test(batch_expand, inputs_are_files_folders_lists_and_paths_of_workers, SAMPLE)
{
	sample_write("a.csv", "a\n");
	sample_write("b.csv", "b\n");
	sample_write("empty.csv", "");
	sample_write("dir/x/one", "1\n");
	sample_write("dir/two", "2\n");
	const char *dump = sample_text(
		"inputs.yaml",
		"version: 1\n"
		"tasks:\n"
		"  t: {run: x, outputs: {o: o.csv}}\n"
		"  u:\n"
		"    run: [ls, \"${inputs.list.list}\", \"${inputs.mixed}\"]\n"
		"    inputs:\n"
		"      folder: {file: dir/}\n"
		"      list: [{file: a.csv}, {file: ./b.csv}, {file: empty.csv}]\n"
		"      same: [{file: a.csv}, {file: a.csv}]\n"
		"      nothing: []\n"
		"      mixed: [{file: a.csv}, {ref: t.o}, {path: /data/imagenet, as: "
		"v3}]\n"
		"      far: {path: /data/imagenet, as: v3}\n"
		"      result: {ref: t}\n"
		"      log: {ref: t.stdout}\n");
	cr_expect_str_eq(
		dump,
		"upload two 2 53c2\n"
		"upload one 2 4355\n"
		"upload (made) 99 e438\n"
		"upload a.csv 2 8742\n"
		"upload b.csv 2 0263\n"
		"upload (made) 99 72ec\n"
		"upload (made) 66 e7cd\n"
		"batch  inputs.yaml failures=0 parallel=0\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0 stdout\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0 extern=0.0:/data/imagenet extern=4.2:/data/imagenet stdout\n"
		"function t options=0 'x' out:o=o.csv\n"
		"function u options=1 ls ${inputs.list.list} ${inputs.mixed} in:far "
		"in:folder in:list in:log in:mixed in:nothing in:result in:same\n"
		"group type1:8742 0+1.2 type6:e0d2\n"
		"task f=0\n"
		"task f=1 far=type6:e0d2 dir=type3:e438 "
		"a.csv|b.csv|empty.csv[]=type4:72ec stdout=0.1 "
		"a.csv|o.csv|mixed[]=group0 nothing=type4:e3b0 result=0.0 "
		"a.csv=type4:e7cd\n",
		"%s", dump);
}

Test(batch_expand, defaults_are_merged_key_by_key, SAMPLE)
{
	sample_write("c.py", "c\n");
	const char *dump = sample_text(
		"defaults.yaml",
		"version: 1\n"
		"defaults:\n"
		"  resources: {cpus: 2, memory: 512MiB, gpus: 1, licence: 0.5}\n"
		"  env: {A: one, B: two}\n"
		"  tags: {team: x, run: 1}\n"
		"  cache: {ttl: 1h, salt: s}\n"
		"  metrics: {from: m.json, best: {acc: max}}\n"
		"  code: [c.py]\n"
		"  timeout: 90s\n"
		"  grace: 250ms\n"
		"  priority: -3\n"
		"tasks:\n"
		"  a: {run: x}\n"
		"  b:\n"
		"    run: y\n"
		"    resources: {cpus: 0.25, gpus: 0}\n"
		"    env: {B: 1.50}\n"
		"    tags: {run: 2}\n"
		"    cache: {mode: force}\n"
		"    metrics: {best: {loss: min, acc: max}}\n"
		"    code: []\n"
		"    timeout: none\n"
		"    priority: 7\n");
	cr_expect_str_eq(dump,
			 "upload c.py 2 a3a5\n"
			 "batch  defaults.yaml failures=0 parallel=0\n"
			 "options cpus=2000 gpus=1000 licence=500 memory=536870912 "
			 "retries=0 timeout=90000ms grace=250ms priority=-3 cache=0 "
			 "ttl=3600 best=acc:max stdout\n"
			 "options cpus=250 gpus=0 licence=500 memory=536870912 retries=0 "
			 "timeout=0ms grace=250ms priority=7 cache=2 ttl=3600 "
			 "best=loss:min best=acc:max stdout\n"
			 "function a options=0 'x' env:A=one env:B=two code:c.py:a3a5 "
			 "metrics:m.json salt:s tag:run=1 tag:team=x\n"
			 "function b options=1 'y' env:A=one env:B=1.50 metrics:m.json "
			 "salt:s tag:run=2 tag:team=x\n"
			 "task f=0\n"
			 "task f=1 nonce\n",
			 "%s", dump);
}

Test(batch_expand, scalars_are_typed_by_the_core_schema_and_by_who_asks, SAMPLE)
{
	const char *yaml = sample_text(
		"scalars.yaml",
		"version: 1\n"
		"tasks:\n"
		"  a:\n"
		"    run: [echo, 1e-4, 010, no, ~, 'it''s', 1.50, \"x\\ty\"]\n"
		"    env: {A: 1.20, B: true, C: \"\"}\n"
		"    sweep:\n"
		"      params:\n"
		"        v: [1e-4, 3, true, no, on, \"1.20\", 1.20, \"no\", 0x1F, 0o17, "
		"+7, -0.0, .5, 5.,\n"
		"            9223372036854775807, 18446744073709551615, "
		"-9223372036854775808, 1e16,\n"
		"            False, Yes, 1_000, 0b1, 12:30, 2020-01-01, 1e3, 0.1, "
		"\"\"]\n");
	cr_expect_str_eq(yaml,
			 "batch  scalars.yaml failures=0 parallel=0\n"
			 "options cpus=1000 retries=0 timeout=0ms grace=5000ms "
			 "priority=0 cache=0 ttl=0 stdout\n"
			 "function a options=0 echo 1e-4 010 no ~ it's 1.50 x	y "
			 "env:A=1.20 env:B=true env:C= p:v\n"
			 "task f=0 (0.0001)\n"
			 "task f=0 (3)\n"
			 "task f=0 (true)\n"
			 "task f=0 ('no')\n"
			 "task f=0 ('on')\n"
			 "task f=0 ('1.20')\n"
			 "task f=0 (1.2)\n"
			 "task f=0 ('no')\n"
			 "task f=0 (31)\n"
			 "task f=0 (15)\n"
			 "task f=0 (7)\n"
			 "task f=0 (-0.0)\n"
			 "task f=0 (0.5)\n"
			 "task f=0 (5.0)\n"
			 "task f=0 (9223372036854775807)\n"
			 "task f=0 (18446744073709551615)\n"
			 "task f=0 (-9223372036854775808)\n"
			 "task f=0 (1e+16)\n"
			 "task f=0 (false)\n"
			 "task f=0 ('Yes')\n"
			 "task f=0 ('1_000')\n"
			 "task f=0 ('0b1')\n"
			 "task f=0 ('12:30')\n"
			 "task f=0 ('2020-01-01')\n"
			 "task f=0 (1000.0)\n"
			 "task f=0 (0.1)\n"
			 "task f=0 ('')\n",
			 "%s", yaml);
	const char *json = sample_text(
		"scalars.json",
		"{\"version\": 1, \"tasks\": {\"a\": {\"run\": [\"x\"], \"sweep\": "
		"{\"params\": {\"v\": [1e-4, 3, true, \"no\", 1.20, \"1.20\", "
		"18446744073709551615, -0.0, \"\\u00e9\\n\"]}}}}}");
	cr_expect_str_eq(json,
			 "batch  scalars.json failures=0 parallel=0\n"
			 "options cpus=1000 retries=0 timeout=0ms grace=5000ms "
			 "priority=0 cache=0 ttl=0 stdout\n"
			 "function a options=0 x p:v\n"
			 "task f=0 (0.0001)\n"
			 "task f=0 (3)\n"
			 "task f=0 (true)\n"
			 "task f=0 ('no')\n"
			 "task f=0 (1.2)\n"
			 "task f=0 ('1.20')\n"
			 "task f=0 (18446744073709551615)\n"
			 "task f=0 (-0.0)\n"
			 "task f=0 ('é\n"
			 "')\n",
			 "%s", json);
}

Test(batch_expand, json_and_yaml_of_the_same_content_are_the_same_batch, SAMPLE)
{
	const char *text =
		"{\"version\": 1, \"name\": \"n\", \"defaults\": {\"retries\": 2},\n"
		" \"tasks\": {\"a\": {\"run\": [\"x\", \"${p.v}\"],\n"
		"  \"sweep\": {\"params\": {\"v\": [1, 2.5, \"s\", true]}}},\n"
		"  \"b\": {\"run\": \"y\", \"inputs\": {\"i\": {\"ref\": \"a.*\"}}}}}\n";
	char *json = strdup(sample_text("same", text)); /* by content */
	const char *dump;
	const char *problem = sample_run(
		&(struct batch_options){.path = "same", .format = BATCH_YAML}, &dump);
	cr_expect_str_empty(problem, "%s", problem);
	cr_expect_str_eq(dump, json);
	free(json);
}

Test(batch_expand, aliases_are_expanded_and_bounded, SAMPLE)
{
	const char *dump = sample_text("alias.yaml", "version: 1\n"
						     "tasks:\n"
						     "  a: &a\n"
						     "    run: &r [echo, &x hi]\n"
						     "    env: &env {A: *x}\n"
						     "  b: {run: *r, env: *env}\n"
						     "  c: *a\n");
	cr_expect_str_eq(dump,
			 "batch  alias.yaml failures=0 parallel=0\n"
			 "options cpus=1000 retries=0 timeout=0ms grace=5000ms "
			 "priority=0 cache=0 ttl=0 stdout\n"
			 "function a options=0 echo hi env:A=hi\n"
			 "function b options=0 echo hi env:A=hi\n"
			 "function c options=0 echo hi env:A=hi\n"
			 "task f=0\n"
			 "task f=1\n"
			 "task f=2\n",
			 "%s", dump);
}

Test(batch_expand, force_no_cache_and_tags_of_the_command_line_are_over_the_file, SAMPLE)
{
	static const char *const tags[] = {"b=2", "a=x=y"};
	const char *dump, *problem;
	sample_write("f.yaml",
		     "version: 1\n"
		     "tasks:\n"
		     "  a: {run: x, tags: {a: old, c: kept}, cache: {mode: use}}\n");
	problem = sample_run(
		&(struct batch_options){
			.path = "f.yaml", .force = true, .tags = tags, .tag_count = 2},
		&dump);
	cr_expect_str_empty(problem, "%s", problem);
	cr_expect_str_eq(dump,
			 "batch  f.yaml failures=0 parallel=0 tag:a=x=y tag:b=2\n"
			 "options cpus=1000 retries=0 timeout=0ms grace=5000ms "
			 "priority=0 cache=2 ttl=0 stdout\n"
			 "function a options=0 'x' tag:a=x=y tag:b=2 tag:c=kept\n"
			 "task f=0 nonce\n",
			 "%s", dump);
	sample_run(&(struct batch_options){.path = "f.yaml", .no_cache = true}, &dump);
	cr_expect(strstr(dump, "cache=1") && strstr(dump, "nonce"), "%s", dump);
	static const char *const bad[] = {"novalue"};
	problem = sample_run(
		&(struct batch_options){.path = "f.yaml", .tags = bad, .tag_count = 1},
		NULL);
	cr_expect_str_eq(problem, "--tag \"novalue\" is not KEY=VALUE");
}

Test(batch_expand, secrets_are_options_by_name_and_no_part_of_the_function, SAMPLE)
{
	const char *dump;
	sample_write("f.yaml", "version: 1\n"
			       "defaults: {secrets: [TOKEN]}\n"
			       "tasks:\n"
			       "  a: {run: x}\n"
			       "  b: {run: x, secrets: [_2, API_KEY]}\n"
			       "  c: {run: x, secrets: [API_KEY, _2], retries: 0}\n"
			       "  d: {run: x, secrets: []}\n");
	const char *problem =
		sample_run(&(struct batch_options){.path = "f.yaml"}, &dump);
	cr_expect_str_empty(problem, "%s", problem);
	static const char *const lines[] = {
		"ttl=0 secret=TOKEN stdout\n", "ttl=0 secret=API_KEY secret=_2 stdout\n",
		"function a options=0 'x'\n",  "function b options=1 'x'\n",
		"function c options=1 'x'\n",  "function d options=2 'x'\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		cr_expect(strstr(dump, lines[i]), "%s in\n%s", lines[i], dump);
}

Test(batch_expand, the_private_environment_goes_beside_the_functions, SAMPLE)
{
	const char *dump;
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/home/me", 1);
	setenv("LANG", "C", 1);
	unsetenv("VIRTUAL_ENV");
	sample_write("e.yaml", "version: 1\ntasks: {a: {run: x}}\n");
	sample_run(&(struct batch_options){.path = "e.yaml", .private_env = true}, &dump);
	cr_expect(strstr(dump,
			 "function a options=0 'x' private:HOME=/home/me private:LANG=C "
			 "private:PATH=/bin\n"),
		  "%s", dump);
}

Test(batch_expand, parameters_keep_the_order_of_the_file_beside_the_sorted_description,
     SAMPLE)
{
	const char *dump = sample_text(
		"order.yaml", "version: 1\n"
			      "tasks:\n"
			      "  a:\n"
			      "    run: [x]\n"
			      "    params: {z: 1, y: 2}\n"
			      "    sweep: {params: {lr: [3], b: [4], a: [5]}}\n");
	cr_expect(strstr(dump, " p:a p:b p:lr p:y p:z order:4,3,2,1,0\n"), "%s", dump);
	dump = sample_text("sorted.yaml",
			   "version: 1\n"
			   "tasks: {a: {run: [x], params: {a: 1, b: 2}}}\n");
	cr_expect_not(strstr(dump, "order:"), "%s", dump);
	/* The same work in another order is another function for people, and the same for the
	 * store. */
	dump = sample_text("two.yaml", "version: 1\n"
				       "tasks:\n"
				       "  - {run: [x], name: t, params: {a: 1, b: 2}}\n"
				       "  - {run: [x], name: t, params: {b: 2, a: 1}}\n");
	cr_expect(strstr(dump, "p:a p:b\n"), "%s", dump);
	cr_expect(strstr(dump, "p:a p:b order:1,0\n"), "%s", dump);
}

static const char *everything(struct buf *text, size_t salt)
{
	buf_reset(text);
	buf_printf(text, "version: 1\n"
			 "tasks:\n"
			 "  a:\n"
			 "    run: [x, \"${p.lr}\", \"\u00e9\"]\n"
			 "    env: {A: one, BB: \"\"}\n"
			 "    params: {z: 1}\n"
			 "    sweep: {params: {lr: [3], b: [4]}}\n"
			 "    inputs: {i: {path: /a, as: b}, j: {path: /a, as: c}}\n"
			 "    outputs: {o: out/o, p: p}\n"
			 "    code: [code.py, code.sh]\n"
			 "    metrics: {from: m.json}\n"
			 "    cache: {salt: \"");
	for (size_t i = 0; i < salt; i++)
		buf_add_byte(text, 's');
	buf_add_str(text, "\"}\n");
	return buf_cstr(text);
}

Test(batch_expand, a_description_is_bounded_to_the_byte_and_the_task_is_named, SAMPLE)
{
	CLEANUP_BUF struct buf text = {0};
	sample_write("code.py", "1");
	sample_write("code.sh", "2");
	sample_text("all.yaml", everything(&text, 100000));
	size_t salt = FUNCTION_SIZE_MAX - sample_description_size() + 100000;
	sample_text("all.yaml", everything(&text, salt));
	cr_expect_eq(sample_description_size(), FUNCTION_SIZE_MAX);
	const char *error = sample_error("all.yaml", everything(&text, salt + 1));
	cr_expect(strstr(error,
			 "all.yaml:3:3: the description of task \"a\" has 1048577 bytes"),
		  "%s", error);

	buf_reset(&text);
	buf_add_str(&text, "{\"run\": [\"x\"], \"name\": \"first\"}\n"
			   "{\"name\": \"second\", \"run\": \"");
	for (size_t i = 0; i < FUNCTION_SIZE_MAX; i++)
		buf_add_byte(&text, 'r');
	buf_add_str(&text, "\"}\n");
	error = sample_error("lines.jsonl", buf_cstr(&text));
	cr_expect(strstr(error, "lines.jsonl:2:1: the description of task \"second\""),
		  "%s", error);
	cr_expect(strstr(error, "most of them in run"), "%s", error);
}
