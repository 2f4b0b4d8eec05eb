/* What changed in a source file, as people would say it. */
#include "client/diff/code.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void expect(const char *path, const char *a, const char *b, const char *want)
{
	struct code_look look;
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(code_look(&look, path, a, strlen(a), b, strlen(b)), 0);
	code_describe(&out, &look, path);
	cr_assert_str_eq(buf_cstr(&out), want);
}

static const char python[] = "import sys\n"
			     "\n"
			     "LIMIT = 3\n"
			     "\n"
			     "class Model:\n"
			     "    def fit(self, x):\n"
			     "        # careful\n"
			     "        for i in x:\n"
			     "            self.step(i)\n"
			     "\n"
			     "    def step(self, i):\n"
			     "        self.n = i * 2\n"
			     "\n"
			     "async def load(path):\n"
			     "    return open(path).read()\n";

static char *with(const char *text, const char *old, const char *new)
{
	static char out[4096];
	const char *at = strstr(text, old);
	cr_assert(at);
	snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, new,
		 at + strlen(old));
	return out;
}

Test(code_look, a_changed_line_of_python_names_its_function)
{
	expect("m.py", python, with(python, "i * 2", "i * 3"),
	       "m.py:Model.step()  line 12 changed");
	expect("m.py", python, with(python, "self.step(i)", "self.step(i + 1)"),
	       "m.py:Model.fit()  line 9 changed");
	expect("m.py", python, with(python, "read()", "read(1)"),
	       "m.py:load()  line 15 changed");
	expect("m.py", python, with(python, "load(path)", "load(path, n=1)"),
	       "m.py:load()  line 14 changed");
	expect("m.py", python, with(python, "= 3", "= 4"), "m.py  line 3 changed");
}

Test(code_look, removed_lines_are_named_by_where_they_stood)
{
	expect("m.py", python, with(python, "        self.n = i * 2\n", ""),
	       "m.py:Model.step()  line 12 removed");
}

Test(code_look, comments_and_white_space_are_recognised)
{
	expect("m.py", python, with(python, "# careful", "# really"),
	       "bytes of m.py changed (only comments/whitespace)");
	expect("m.py", python,
	       with(python, "LIMIT = 3\n\n", "LIMIT  =  3  # three\n\n\n"),
	       "bytes of m.py changed (only comments/whitespace)");
	/* Indentation is no white space of that kind. */
	expect("m.py", python,
	       with(python, "            self.step(i)", "        self.step(i)"),
	       "m.py:Model.fit()  line 9 changed");
	/* Nor is a # in a string. */
	expect("m.py", "x = 'a # b'\n", "x = 'a # c'\n", "m.py  line 1 changed");
	expect("m.c", "int a; /* one */\n// two\nint b;\n", "int a;\nint  b; // three\n",
	       "bytes of m.c changed (only comments/whitespace)");
	expect("m.c", "char *a = \"/* x */\";\n", "char *a = \"/* y */\";\n",
	       "m.c  line 1 changed");
	expect("m.c", "#define A 1\nint b;\n", "#define A 1 int b;\n",
	       "m.c  line 1 changed");
	expect("data.txt", "a b\n", "a  b\n", "data.txt  line 1 changed");
}

static const char c_text[] = "#include <stdio.h>\n"
			     "\n"
			     "static int count;\n"
			     "\n"
			     "static int add(int a,\n"
			     "	       int b)\n"
			     "{\n"
			     "	if (a)\n"
			     "		return a + b;\n"
			     "	return b;\n"
			     "}\n"
			     "\n"
			     "int total = 3;\n"
			     "\n"
			     "int main(void)\n"
			     "{\n"
			     "	return add(1, 2);\n"
			     "}\n";

Test(code_look, c_functions_are_found_by_their_head)
{
	expect("a.c", c_text, with(c_text, "a + b", "a - b"),
	       "a.c:add()  line 9 changed");
	expect("a.c", c_text, with(c_text, "add(1, 2)", "add(2, 2)"),
	       "a.c:main()  line 17 changed");
	expect("a.c", c_text, with(c_text, "= 3", "= 4"), "a.c  line 13 changed");
	expect("a.go", "func (s *T) Run(n int) {\n\tx()\n}\n",
	       "func (s *T) Run(n int) {\n\ty()\n}\n", "a.go:Run()  line 2 changed");
}

Test(code_look, several_places_are_gathered_by_function)
{
	CLEANUP_BUF struct buf now = {0};
	buf_add_str(&now, with(c_text, "a + b", "a - b"));
	char *again = with(buf_cstr(&now), "	return b;", "	return -b;");
	expect("a.c", c_text, again, "a.c:add()  lines 9-10 changed");
	buf_reset(&now);
	buf_add_str(&now, again);
	expect("a.c", c_text, with(buf_cstr(&now), "add(1, 2)", "0"),
	       "a.c:add()  lines 9-10 changed; main()  line 17 changed");
}

Test(code_look, what_is_left_out_is_counted)
{
	CLEANUP_BUF struct buf a = {0}, b = {0};
	for (int i = 0; i < 60; i++) {
		buf_printf(&a, "line %d\n", i);
		buf_printf(&b, i % 10 ? "line %d\n" : "other %d\n", i);
	}
	expect("a.txt", buf_cstr(&a), buf_cstr(&b),
	       "a.txt  lines 1, 11, 21, 31 changed, and 2 more places");
}
