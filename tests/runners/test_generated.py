"""Generated programs of several files: comments, layout and order keep every hash; a change in one definition
changes exactly the hashes of those that reach it."""

import ast
import random
import unittest

from runner import RunnerTest, answer

SEEDS = range(6)
FILES = ("a", "b", "c")


class Program:
    """Functions f0, f1, ... over three files; each calls some that came before it, in a spelling of its own."""

    def __init__(self, seed, count=24):
        draw = self.draw = random.Random(seed)
        self.count = count
        self.file = [draw.choice(FILES) for _ in range(count)]
        self.calls = [sorted(draw.sample(range(n), min(n, draw.randrange(4)))) for n in range(count)]
        self.kind = [draw.choice(("function", "class", "constant")) for _ in range(count)]
        self.spelling = [[draw.randrange(6) for _ in calls] for calls in self.calls]
        self.value = [draw.randrange(1000) for _ in range(count)]

    def reaches(self, n, goal):
        return n == goal or any(self.reaches(m, goal) for m in self.calls[n])

    def named(self, n, m, spelling):
        """How f_n names f_m."""
        if self.file[n] == self.file[m]:
            return f"f{m}"
        return (f"{self.file[m]}.f{m}", f"from_{self.file[m]}_f{m}", f"as_{self.file[m]}.f{m}")[spelling % 3]

    def body(self, n):
        uses = [self.named(n, m, s) for m, s in zip(self.calls[n], self.spelling[n])]
        shapes = ("{}", "[{} for i in x]", "(lambda y: {})", "f'{{{}!r}}'", "(x and {})", "{{'k': {}}}")
        return ", ".join(shapes[s].format(use) for use, s in zip(uses, self.spelling[n]))

    def definition(self, n, comments=False):
        note = f"    # {self.draw.random()}\n" if comments else ""
        doc = f'    """{self.draw.random()}"""\n' if comments else ""
        body = self.body(n).replace("[", "[\n        ").replace(", ", ",\n        ") if comments else self.body(n)
        if self.kind[n] == "function":
            return f"def f{n}(x=1):\n{doc}{note}    return ({self.value[n]}, {body})\n"
        if self.kind[n] == "class":
            return f"class f{n}:\n{doc}{note}    def m(self, x):\n{doc.replace('    ', '        ', 1)}        return ({self.value[n]}, {body})\n"
        return f"{note.strip()}\nf{n} = lambda x: ({self.value[n]}, {body})\n"

    def files(self, comments=False, shuffled=False):
        texts = {}
        for name in FILES:
            lines = [f"import {other}\nimport {other} as as_{other}\n" for other in FILES if other != name]
            lines += [f"from {self.file[m]} import f{m} as from_{self.file[m]}_f{m}\n" for m in range(self.count)
                      if self.file[m] != name]
            bodies = [self.definition(n, comments) for n in range(self.count) if self.file[n] == name]
            if shuffled:
                self.draw.shuffle(lines)
                self.draw.shuffle(bodies)
            gap = "\n# -----\n\n\n" if comments else "\n"
            texts[name + ".py"] = gap.join(lines + bodies)
        return texts


class Generated(RunnerTest):
    def hashes(self, program, folder):
        rows = answer("describe", *[self.path(folder, f"{program.file[n]}.py:f{n}") for n in range(program.count)])
        for row in rows["targets"]:
            self.assertTrue(row["ok"], row)
            self.assertEqual(row["warnings"], [])
        return [row["hash"] for row in rows["targets"]]

    def test_layout_comments_and_order_keep_every_hash(self):
        for seed in SEEDS:
            program = Program(seed)
            self.write(program.files(), f"{seed}/plain")
            self.write(program.files(comments=True, shuffled=True), f"{seed}/other")
            self.write({name: ast.unparse(ast.parse(text)) for name, text in program.files().items()}, f"{seed}/unparsed")
            before = self.hashes(program, f"{seed}/plain")
            with self.subTest(seed=seed):
                self.assertEqual(before, self.hashes(program, f"{seed}/other"))
                self.assertEqual(before, self.hashes(program, f"{seed}/unparsed"))
                self.assertEqual(len(set(before)), program.count)

    def test_a_change_reaches_exactly_those_that_reach_it(self):
        for seed in SEEDS:
            program = Program(seed)
            self.write(program.files(), f"{seed}/plain")
            before = self.hashes(program, f"{seed}/plain")
            for goal in random.Random(seed).sample(range(program.count), 3):
                program.value[goal] += 1
                self.write(program.files(), f"{seed}/{goal}")
                after = self.hashes(program, f"{seed}/{goal}")
                program.value[goal] -= 1
                with self.subTest(seed=seed, goal=goal):
                    self.assertEqual([b != a for b, a in zip(before, after)],
                                     [program.reaches(n, goal) for n in range(program.count)])


if __name__ == "__main__":
    unittest.main()
