"""What the real zdaemon makes of configuration files: their values, or ZConfig's message.

Standard input: one file a line, its path, then its overrides, parted by tabs. Standard output: for each the text and
a line that is a form feed.
"""

import os
import sys

import ZConfig
import zdaemon

schema = ZConfig.loadSchema(os.path.join(os.path.dirname(zdaemon.__file__), 'schema.xml'))
KEYS = '''program backoff_limit daemon forever socket_name exit_codes user umask directory logfile transcript start_timeout
stop_timeout start_test_program prompt default_to_interactive hang_around python zdrun'''.split()
# An empty value of these counts as none, which is what it does.
NONE = {'socket_name': 'zdsock', 'logfile': None, 'transcript': None, 'start_test_program': None}
# Less than 0 does the same as 0.
SECONDS = 'backoff_limit start_timeout stop_timeout'.split()


def values(root):
    for key in KEYS:
        value = getattr(root.runner, key)
        if key in NONE and not value:
            value = NONE[key]
        if key in SECONDS:
            value = max(value, 0)
        yield '%s %r' % (key, value)
    for name, value in sorted(root.environment.mapping.items() if root.environment else ()):
        yield 'environment %r %r' % (name, value)
    log = root.runner.eventlog or root.eventlog
    for factory in log.handler_factories if log else ():
        if factory.section.getSectionType() == 'logfile':
            yield 'logfile %r' % factory.section.path


for line in sys.stdin:
    path, *overrides = line.rstrip('\n').split('\t')
    try:
        root, _ = ZConfig.loadConfig(schema, path, overrides)
        text = '\n'.join(values(root))
    except ZConfig.ConfigurationError as error:
        text = 'Error: %s' % error
    except Exception as error:
        text = 'Traceback: %r' % error
    sys.stdout.buffer.write(text.encode('utf-8', 'backslashreplace') + b'\n\f\n')
