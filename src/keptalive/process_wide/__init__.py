"""The process-wide switch: every TCP connection that this process opens, whatever library opens it.

Rule: wrappers only, no audit hook, so that uninstall() leaves nothing behind.
`switching` turns it on and off, `ruling` says what holds now and is asked by the
wrappers, and each other file puts wrappers where one kind of connection is opened.
"""

from keptalive.process_wide.report import InstallReport as InstallReport
from keptalive.process_wide.switching import install as install
from keptalive.process_wide.switching import installed as installed
from keptalive.process_wide.switching import uninstall as uninstall
