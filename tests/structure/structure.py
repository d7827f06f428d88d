#!/usr/bin/env python3
"""Rules of the source tree that no compiler checks (DESIGN.md section 7).

  bans      logic takes time, chance, threads, files and sockets from what it is handed, never from the air
  includes  a folder of src/ leans only on those to its left
  sizes     no source is longer than a head can hold
  readmes   every folder says what it is for

usage: structure.py ROOT [--self-test]
"""
import pathlib
import re
import sys

SOURCES = {'.cc', '.h', '.c'}
# A folder leans on those to its left. `host` and `server` meet in host.proto only.
ORDER = ['base', 'net', 'model', 'compile', 'store', 'server', 'host', 'sim', 'cli', 'lab', 'apps']
NEVER = {('host', 'server'), ('host', 'store'), ('host', 'model'), ('cli', 'host'), ('cli', 'store'), ('cli', 'sim'),
         ('lab', 'sim'), ('cli', 'server')}
MOST_LINES = 900

# What may be used directly only in an adapter, and what to use instead.
BANS = {
    'clock': (r'std::chrono::(steady|system|high_resolution|utc)_clock|\bclock_gettime\s*\(|\bgettimeofday\s*\('
              r'|(?<![\w.>:])time\s*\(\s*(nullptr|NULL|0|&)', 'Runtime::now() and wall()'),
    'sleep': (r'\bsleep_(for|until)\b|(?<![\w.>])(u|nano)?sleep\s*\(', 'Runtime::after()'),
    'thread': (r'std::(j?thread|async|mutex|shared_mutex|recursive_mutex|condition_variable|atomic\b|atomic<|barrier|latch)'
               r'|\bthread_local\b|\bpthread_', 'one strand a program: Runtime::post()'),
    'socket': (r'(?<![\w.>:])socket\s*\(\s*\w+\s*,|(?<![\w.>])::(socket|connect|accept4?|bind|listen|recvmsg|sendmsg|recvfrom|sendto)\s*\('
               r'|<sys/socket\.h>|<boost/asio', 'an adapter that posts messages'),
    'file': (r'std::(basic_)?[io]?fstream\b|<fstream>|<filesystem>|std::filesystem|\bf(open|reopen|dopen)\s*\('
             r'|(?<![\w.>:])::(open|openat|creat|unlink|rename|mkdir)\s*\(|<fcntl\.h>', 'Files, or an adapter'),
    'environment': (r'\b(secure_)?getenv\s*\(|\bsetenv\s*\(|\benviron\b', 'options of the program'),
    'chance': (r'std::random_device|std::mt19937|std::\w+_distribution|(?<![\w.>:])s?rand\s*\(|\bgetrandom\s*\(|\barc4random',
               'Runtime::random()'),
    'static state': (r'^\s*(inline\s+)?static\s+(?!const\b|constexpr\b|constinit const\b|inline\b|_assert|assert)'
                     r'[\w:<>,\s*&]+\s+\w+\s*(=|\{|;)(?!.*\()', 'a member of what needs it'),
    'process': (r'(?<![\w.>:])(std::)?(system|popen|fork|execv\w*|posix_spawn\w*|exit|abort)\s*\(', 'an adapter; a Status'),
    'console': (r'std::c(out|err|in)\b|(?<![\w.>])printf\s*\(|\bfmt::print\s*\(', 'Log'),
}
# Folders that touch the world for the others, and programs.
ADAPTER_FOLDERS = {'linux', 'netns', 'sqlite', 'grpc', 'http', 'apps', 'cli', 'lab', 'bench'}


def without_comments(text):
    """Comments and string literals blanked, lines kept."""
    pattern = re.compile(r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.S)

    def blank(match):
        found = match.group(0)
        return '\n' * found.count('\n') if found.startswith(('/', 'R')) else '""'
    return pattern.sub(blank, text)


def read_allowed(path):
    """Lines "PATH BAN REASON": an exception that somebody has thought about."""
    allowed = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        where, ban, reason = line.split(None, 2)
        allowed[(where, ban)] = reason
    return allowed


def is_adapter(relative):
    return bool(ADAPTER_FOLDERS.intersection(relative.parts[:-1])) or relative.stem.endswith(('_test', '_bench'))


def check_bans(root, allowed):
    used = set()
    for path in sources(root, 'src'):
        relative = path.relative_to(root / 'src')
        if is_adapter(relative):
            continue
        original = path.read_text().splitlines()
        for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
            # Includes name their header in quotes or brackets: quotes were blanked, brackets stay.
            for ban, (pattern, instead) in BANS.items():
                if not re.search(pattern, line):
                    continue
                key = (str(relative), ban.replace(' ', '-'))
                if key in allowed:
                    used.add(key)
                    continue
                yield f'src/{relative}:{number}: {ban}: use {instead}: {original[number - 1].strip()}'
    for where, ban in sorted(set(allowed) - used):
        if (root / 'src' / where).exists():
            yield f'tests/structure/allowed.txt: {where} needs no exception for {ban} any more'


def check_includes(root):
    for path in sources(root, 'src'):
        relative = path.relative_to(root / 'src')
        mine = relative.parts[0]
        if mine not in ORDER:
            yield f'src/{mine}: not in the order of folders (tests/structure/structure.py)'
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#include "(\w+)/', line)
            if not match or match.group(1) not in ORDER:
                continue
            theirs = match.group(1)
            test = relative.stem.endswith(('_test', '_bench')) or 'testing' in relative.parts
            compiler_parts = mine == 'host' and re.search(r'"compile/policy/', line)
            if ORDER.index(theirs) > ORDER.index(mine):
                yield f'src/{relative}:{number}: {mine} is left of {theirs}'
            elif (mine, theirs) in NEVER and not test and not compiler_parts:
                yield f'src/{relative}:{number}: {mine} may not know {theirs}'


def check_sizes(root):
    for top in ('src', 'bpf'):
        for path in sources(root, top):
            lines = path.read_text().count('\n')
            if lines > MOST_LINES:
                yield f'{path.relative_to(root)}: {lines} lines, at most {MOST_LINES}'


def check_readmes(root):
    for top in ('src', 'bpf'):
        folders = {root / top} | {path.parent for path in sources(root, top)}
        for folder in sorted(folders):
            readme = folder / 'README.md'
            if not readme.exists():
                yield f'{folder.relative_to(root)}: no README.md'
            elif readme.read_text().count('\n') > 60:
                yield f'{readme.relative_to(root)}: more than a screen'


def sources(root, top):
    return sorted(path for path in (root / top).rglob('*') if path.suffix in SOURCES and path.is_file())


def self_test():
    """Each rule finds what it is for, and leaves alone what only looks like it."""
    bad = {'clock': 'auto t = std::chrono::steady_clock::now();', 'sleep': 'std::this_thread::sleep_for(1ms);',
           'thread': 'std::mutex lock;', 'socket': 'int s = socket(AF_INET, 1, 0);', 'file': 'std::ifstream in(name);',
           'environment': 'auto* home = getenv("HOME");', 'chance': 'int dice = rand();',
           'static state': 'static int calls = 0;', 'process': 'std::abort();', 'console': 'std::cout << 1;'}
    good = ['link.connect(address, port);', 'runtime.after(delay, task);', 'static constexpr int kMost = 3;',
            'static Result<Mac> parse(std::string_view);', 'static const Table table;', 'state.time(now);', 'store.rename(a, b);',
            'static std::string text(int number) {', 'static_assert(sizeof(int) == 4);', '  static Edit put(MessagePtr object);']
    failures = [f'{ban} does not find: {line}' for ban, line in bad.items() if not re.search(BANS[ban][0], line)]
    failures += [f'{ban} finds: {line}' for line in good for ban in BANS if re.search(BANS[ban][0], line)]
    if 'steady_clock' in without_comments('// std::chrono::steady_clock\nint a = 1; /* rand() */ auto s = "sleep(1)";'):
        failures.append('comments are not blanked')
    return failures


def main():
    root = pathlib.Path(sys.argv[1])
    if '--self-test' in sys.argv:
        found = self_test()
    else:
        allowed = read_allowed(root / 'tests/structure/allowed.txt')
        found = [*check_bans(root, allowed), *check_includes(root), *check_sizes(root), *check_readmes(root)]
    for line in found:
        print(line)
    print(f'{len(found)} violations')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
