"""Results as a page to hand to whoever runs the network: one file, no script, nothing from elsewhere.

Rule: `markup` escapes, `page` is the frame and the look, `ladder` and `timeline` draw; `of_probe` and
`of_diagnosis` put a page together. All pure: a result goes in, text comes out.
"""
