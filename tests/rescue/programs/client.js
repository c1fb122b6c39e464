// Ask once, as any node program would: node client.js URL
//
// fetch() turns keepalive on by itself, with 60 s: too long for the lab's firewall.
fetch(process.argv[2]).then((response) => response.text()).then((text) => process.stdout.write(text));
