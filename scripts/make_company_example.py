#!/usr/bin/env python3
"""Writes examples/company/company.jsonl: the memory of Skerry Instruments, a made-up
company of two dozen people that builds river gauges and sells flood warnings.

    scripts/make_company_example.py [--check]

The tables below are the source; the program adds what can be derived (mail addresses,
topic vectors) and checks that nothing points to nowhere. The same tables give the same
bytes. With --check it writes nothing and fails when the file is stale.
"""

import collections
import json
import math
import pathlib
import re
import sys

OUT = pathlib.Path(__file__).resolve().parent.parent / "examples" / "company" / "company.jsonl"

# slug | name | mission | founded | budget
TEAMS = """
hardware | Hardware | Gauges that survive ice, driftwood and boys with stones | 2017-03-01 | 210000
firmware | Firmware | Five years on one battery, and never a wrong reading | 2018-09-01 | 45000
forecast | Forecasting | Six hours of warning where there used to be one | 2019-02-01 | 95000
platform | Platform | Every reading arrives once, and every alarm arrives | 2019-02-01 | 130000
field | Field | On the river bank within two days, anywhere we sell | 2018-04-01 | 160000
towns | Towns | Mayors and fire chiefs who would miss us | 2017-03-01 | 88000
"""

# slug | name | title | joined | left | remote | hours | manager | team, role [; team, role] | skills
PEOPLE = """
ragna | Ragna Solheim | Founder and managing director | 2017-03-01 | | no | 40 | | towns, lead | hydrology, contracts, Norwegian water law
piotr | Piotr Wrona | Founder and head of hardware | 2017-03-01 | | no | 40 | ragna | hardware, lead | enclosures, ultrasonics, sailing
mirela | Mirela Dobre | Head of firmware | 2018-09-01 | | yes | 36 | piotr | firmware, lead | embedded C, power budgets, radio
anselm | Anselm Okafor | Head of forecasting | 2019-02-01 | | no | 40 | ragna | forecast, lead | hydraulic models, statistics, patience
yuki | Yuki Tanabe | Head of platform | 2019-02-11 | | yes | 38 | ragna | platform, lead | streaming, on-call, PostgreSQL
hanne | Hanne Brekke | Head of field operations | 2018-04-01 | | no | 40 | ragna | field, lead | ladders, boats, talking to farmers
callum | Callum Reid | Mechanical engineer | 2019-08-15 | | no | 37.5 | piotr | hardware, member | injection moulding, CAD, ice loads
lucia | Lucía Ferrer | Electronics engineer | 2020-01-07 | | no | 40 | piotr | hardware, member; firmware, member | circuit boards, batteries, radar
dag | Dag Nilsen | Workshop and calibration | 2018-06-01 | | no | 30 | piotr | hardware, member | calibration, soldering, spare parts
samira | Samira Haddad | Firmware engineer | 2020-10-01 | | yes | 40 | mirela | firmware, member | Rust on microcontrollers, bootloaders
joost | Joost van Dijk | Firmware engineer | 2022-03-14 | | yes | 32 | mirela | firmware, member | LoRa, NB-IoT, antenna folklore
pernille | Pernille Kjær | Radio engineer | 2019-05-20 | 2025-02-28 | no | 40 | mirela | firmware, member | LoRaWAN, link budgets
wen | Wen Li | Forecaster | 2020-08-03 | | no | 40 | anselm | forecast, member | snow melt, ensemble forecasts
tobias | Tobias Engel | Data scientist | 2021-11-01 | | yes | 40 | anselm | forecast, member | time series, anomaly detection
nadia | Nadia Rahman | Hydrologist | 2023-04-17 | | no | 24 | anselm | forecast, member | rating curves, field surveys
femi | Femi Adeyemi | Platform engineer | 2020-05-04 | | yes | 40 | yuki | platform, member | Kubernetes, alarms, incident writing
greta | Greta Lindqvist | Platform engineer | 2021-09-01 | | no | 38 | yuki | platform, member | maps, front ends, accessibility
oskar | Oskar Halvorsen | Site reliability engineer | 2023-01-09 | | yes | 40 | yuki | platform, member | telephony, load tests, night shifts
ivar | Ivar Moen | Field technician, north | 2019-06-01 | | no | 37.5 | hanne | field, member | snowmobiles, welding
siobhan | Siobhán Byrne | Field technician, west | 2021-02-15 | | no | 37.5 | hanne | field, member | bridges, permits
mateus | Mateus Prado | Support | 2022-06-07 | | yes | 40 | hanne | field, member; towns, member | reading between the lines, Portuguese
edda | Edda Vogel | Customer lead | 2018-11-05 | | no | 40 | ragna | towns, member | tenders, town councils
kofi | Kofi Mensah | Finance | 2020-03-02 | | yes | 30 | ragna | towns, member | cash flow, leasing
linnea | Linnéa Dahl | Writer and trainer | 2024-02-01 | | yes | 20 | edda | towns, member | plain language, exercises with fire brigades
"""

# slug | name | owner | status | started | due | spent | pitch
PROJECTS = """
gauge-three | Gauge 3 | hardware | shipped | 2021-01-11 | 2023-06-30 | 412000 | A radar gauge the size of a loaf of bread that two people can mount from a bridge
gauge-four | Gauge 4 | hardware | active | 2025-01-13 | 2026-11-30 | 138000 | The same gauge with one moulded housing, no screws and a battery that a farmer can change
long-sleep | Long Sleep | firmware | shipped | 2023-02-01 | 2024-05-31 | 61000 | Half the power by measuring often only when the river moves
second-voice | Second Voice | firmware | active | 2024-09-02 | 2026-06-30 | 74000 | Every gauge gets a second radio, so that one dead mast no longer means one blind valley
six-hours | Six Hours | forecast | active | 2022-05-02 | 2026-03-31 | 187000 | Forecast the crest six hours ahead for catchments under two hundred square kilometres
snow-eyes | Snow Eyes | forecast | paused | 2024-01-15 | 2025-12-31 | 39000 | Use satellite snow cover to know in March what April will bring
once-only | Once Only | platform | shipped | 2022-02-07 | 2023-03-31 | 52000 | Each reading is stored exactly once, whatever the network did on the way
loud-bell | Loud Bell | platform | active | 2024-11-25 | 2026-02-28 | 66000 | An alarm is not sent until somebody has said out loud that they got it
river-map | River Map | platform | shipped | 2023-08-21 | 2024-10-31 | 58000 | One public map per town that still loads while the whole town looks at it
two-days | Two Days | field | active | 2024-03-04 | 2025-12-31 | 91000 | Spare gauges in eleven sheds, so that no river stays unwatched for more than two days
fire-drill | Fire Drill | towns | active | 2024-04-08 | 2026-12-31 | 23000 | Rehearse the flood with each town once a year, sirens and all
lease-a-river | Lease a River | towns | active | 2025-03-03 | 2026-09-30 | 12000 | Towns pay by the month and never own hardware again
school-gauge | School Gauge | towns | idea | | | | A gauge for the stream behind the school, read by the pupils
lake-levels | Lake Levels | forecast | dropped | 2021-03-01 | 2022-01-31 | 44000 | Sell water levels to hydropower, who turned out to have their own
"""

# project | builds on | why
BUILDS_ON = """
gauge-four | gauge-three | The radar and its calibration are kept as they are
gauge-four | long-sleep | The smaller battery only works with the sleeping firmware
gauge-four | second-voice | The board has room for both radios
second-voice | long-sleep | A second radio may not cost a second battery
six-hours | once-only | A reading stored twice looks like a rising river
six-hours | gauge-three | Needs one reading a minute while the water moves
snow-eyes | six-hours | Feeds the same model, a season earlier
loud-bell | once-only | An alarm is a reading that must not get lost
loud-bell | six-hours | Nobody answers a bell that rings too late
river-map | once-only | Shows what is stored, and nothing else
two-days | gauge-three | The spares are all third generation
two-days | lease-a-river | Swapping is simple when the town owns nothing
fire-drill | loud-bell | The drill is the only honest test of the bell
fire-drill | river-map | The exercise runs on a copy of the town's map
lease-a-river | two-days | The contract promises the two days
school-gauge | gauge-four | Cheap enough to be dropped by a child
"""

# person | project | share | since | until
WORKS_ON = """
piotr | gauge-three | 0.6 | 2021-01-11 | 2023-06-30
piotr | gauge-four | 0.5 | 2025-01-13 |
callum | gauge-three | 0.8 | 2021-01-11 | 2023-06-30
callum | gauge-four | 0.9 | 2025-01-13 |
lucia | gauge-three | 0.5 | 2021-01-11 | 2023-06-30
lucia | gauge-four | 0.5 | 2025-01-13 |
lucia | second-voice | 0.4 | 2024-09-02 |
dag | gauge-four | 0.3 | 2025-02-03 |
dag | two-days | 0.4 | 2024-03-04 |
mirela | long-sleep | 0.6 | 2023-02-01 | 2024-05-31
mirela | second-voice | 0.5 | 2024-09-02 |
samira | long-sleep | 0.9 | 2023-02-01 | 2024-05-31
samira | gauge-four | 0.4 | 2025-03-10 |
samira | second-voice | 0.5 | 2024-09-02 |
joost | second-voice | 0.9 | 2024-09-02 |
pernille | second-voice | 0.7 | 2024-09-02 | 2025-02-28
pernille | long-sleep | 0.3 | 2023-02-01 | 2024-05-31
anselm | six-hours | 0.6 | 2022-05-02 |
anselm | lake-levels | 0.4 | 2021-03-01 | 2022-01-31
wen | six-hours | 0.6 | 2022-05-02 |
wen | snow-eyes | 0.4 | 2024-01-15 | 2025-05-30
tobias | six-hours | 0.8 | 2022-05-02 |
tobias | lake-levels | 0.2 | 2021-11-01 | 2022-01-31
nadia | six-hours | 0.5 | 2023-04-17 |
nadia | fire-drill | 0.1 | 2025-04-01 |
yuki | once-only | 0.5 | 2022-02-07 | 2023-03-31
yuki | loud-bell | 0.4 | 2024-11-25 |
femi | once-only | 0.9 | 2022-02-07 | 2023-03-31
femi | loud-bell | 0.6 | 2024-11-25 |
greta | river-map | 0.9 | 2023-08-21 | 2024-10-31
greta | fire-drill | 0.2 | 2025-01-20 |
oskar | loud-bell | 0.9 | 2024-11-25 |
oskar | river-map | 0.3 | 2023-08-21 | 2024-10-31
hanne | two-days | 0.5 | 2024-03-04 |
ivar | two-days | 0.5 | 2024-03-04 |
siobhan | two-days | 0.5 | 2024-03-04 |
mateus | two-days | 0.3 | 2024-03-04 |
mateus | fire-drill | 0.2 | 2024-04-08 |
edda | lease-a-river | 0.4 | 2025-03-03 |
edda | fire-drill | 0.3 | 2024-04-08 |
kofi | lease-a-river | 0.5 | 2025-03-03 |
ragna | lease-a-river | 0.2 | 2025-03-03 |
ragna | school-gauge | 0.05 | 2025-10-06 |
linnea | fire-drill | 0.7 | 2024-04-08 |
linnea | school-gauge | 0.2 | 2025-10-06 |
"""

# slug | name | created | status | confidence | reversible | affects | context | outcome
DECISIONS = """
radar-not-ultrasound | Radar instead of ultrasound | 2021-02-18T13:10:00Z | accepted | 0.8 | no | gauge-three | Ultrasound drifts with temperature and hears every duck. Radar costs four times as much per part. | Gauge 3 measures by radar. We save the money on the mast.
mount-from-bridges | Mount from bridges, not from the bank | 2021-04-12T09:00:00Z | accepted | 0.7 | yes | gauge-three | Banks move, bridges do not; but each bridge needs a permit. | Bridges first. Hanne's team collects the permits before the gauge is built.
drop-lake-levels | Stop selling lake levels | 2022-01-27T15:30:00Z | accepted | 0.9 | yes | lake-levels | Three power companies tried the data; all three had better data of their own. | We stop at the end of the month and give the model to the six-hour forecast.
minute-readings | One reading a minute while the river moves | 2022-06-09T08:45:00Z | accepted | 0.6 | yes | six-hours, long-sleep | The forecast needs detail on the rising limb; the battery wants silence. | A minute when the level moves more than two centimetres in ten minutes, otherwise fifteen.
store-once | The gauge numbers its readings | 2022-03-02T10:00:00Z | accepted | 0.85 | no | once-only | Retries over bad networks gave us 3 percent duplicates and two false alarms. | Each reading carries a number from the gauge; the platform keeps the first and ignores the rest.
lora-everywhere | LoRa for all gauges | 2020-11-16T14:00:00Z | superseded | 0.75 | yes | gauge-three | Mobile coverage is poor in valleys and subscriptions cost more than gauges. | All gauges speak LoRa to masts that we put up ourselves.
two-radios | Two radios in each gauge | 2024-08-22T12:20:00Z | accepted | 0.7 | no | second-voice, gauge-four | The Osa mast was struck by lightning and four towns saw a calm river for nine hours. | LoRa stays first; NB-IoT answers when LoRa has been silent for thirty minutes.
sell-the-masts | Give the masts to the towns | 2025-06-19T11:00:00Z | rejected | 0.4 | no | second-voice, lease-a-river | With two radios the masts matter less, and insuring them costs 31,000 a year. | No. A mast that nobody looks after is worse than no mast, because people trust it.
rust-on-the-gauge | New firmware in Rust | 2023-02-20T09:30:00Z | accepted | 0.65 | yes | long-sleep | Half of the field resets in 2022 were memory faults in C. | The scheduler and the radio stack are written anew; drivers stay in C until they hurt.
sleep-by-default | Sleep is the normal state | 2023-05-11T13:00:00Z | accepted | 0.8 | yes | long-sleep | The gauge was awake 11 percent of the time and did something useful in 2. | Everything that wakes the gauge has to name its reason in the log.
measure-snow-later | Pause the snow project | 2025-05-28T10:15:00Z | accepted | 0.6 | yes | snow-eyes | Two springs of data were not enough to beat the calendar. | Keep collecting, stop modelling. We look again when there are four springs.
ensembles-not-one | Show a range, not a line | 2023-10-05T08:00:00Z | accepted | 0.75 | yes | six-hours, river-map | A fire chief read the single line as a promise and sent the brigade home. | Forecasts are shown as a band with the likely crest in the middle; the API has no single number.
small-catchments-only | Only catchments under 200 km² | 2022-05-19T09:00:00Z | accepted | 0.9 | yes | six-hours | Large rivers are forecast by the state, free of charge and well. | We do the small ones that nobody else does.
acknowledge-by-voice | An alarm ends with a human voice | 2024-12-12T16:40:00Z | accepted | 0.7 | yes | loud-bell | In Lærdal the alarm was delivered to a phone in a drawer. Delivered is not heard. | The alarm calls down a list until somebody says the code word; silence calls the next.
keypad-instead | Confirm alarms by keypad | 2024-12-02T10:00:00Z | superseded | 0.5 | yes | loud-bell | A key press is easy to build and easy to test. | Press 1 to confirm. (In the first drill a grandchild did.)
own-telephony | Run our own telephone exchange | 2025-02-06T14:10:00Z | accepted | 0.55 | yes | loud-bell | Our provider queues calls at the very minute when all towns call. | Two small exchanges in two cities, each able to carry all alarms alone.
static-map | The public map is a set of files | 2023-09-14T10:30:00Z | accepted | 0.85 | yes | river-map | During the October flood the map had four hundred times its usual visitors and fell over. | Every minute the map is written as files to a content network. No database behind it.
sheds | Eleven sheds | 2024-03-21T12:00:00Z | accepted | 0.7 | yes | two-days | A spare took nine days to reach Finnmark. A shed costs 600 a year. | One shed with two spares in each region, keys with the fire brigades.
ship-on-fridays-never | No firmware on Fridays | 2023-11-24T15:55:00Z | accepted | 0.95 | yes | long-sleep, second-voice | See the post-mortem of the seventeenth. | Firmware goes out Monday to Wednesday, to ten gauges first, and the river has to be low.
drill-yearly | A drill a year, in the contract | 2024-04-25T09:20:00Z | accepted | 0.8 | yes | fire-drill, lease-a-river | Towns that had rehearsed reacted in 14 minutes, the others in 50. | The yearly drill is part of every new contract and is not for sale without.
lease-not-sell | Lease instead of selling | 2025-03-13T13:30:00Z | accepted | 0.6 | no | lease-a-river | Towns have yearly budgets, not investment budgets; every sale takes fourteen months. | New customers lease by the month. Old ones may change over when their gauge is replaced.
one-housing | One housing for all rivers | 2025-03-27T10:00:00Z | accepted | 0.65 | no | gauge-four | Three housings mean three moulds, three sets of spares and one confused shed. | One housing, made for ice. In the south it is simply stronger than it needs to be.
farmer-battery | The battery is changed without tools | 2025-04-10T09:10:00Z | accepted | 0.75 | no | gauge-four, two-days | Six of ten field visits are battery visits; four of those have a farm within a kilometre. | A coin opens the lid and the battery only fits one way. We pay the farmer 50 a time.
no-solar | No solar panels | 2025-05-08T11:45:00Z | accepted | 0.7 | yes | gauge-four | Panels doubled the life in June, did nothing in January and were stolen in March. | Batteries only. Long Sleep made the panel unnecessary.
free-for-schools | Gauges for schools at cost | 2025-10-09T14:00:00Z | proposed | 0.5 | yes | school-gauge | Four teachers asked in one month. Kofi asks who answers the phone. | Lend ten Gauge 4 prototypes for a school year and count the support calls.
hire-a-radio-engineer | Hire a radio engineer in 2026 | 2025-09-18T10:30:00Z | proposed | 0.6 | yes | second-voice, gauge-four | Pernille left in February; Joost carries both stacks at 32 hours a week. | Open the position in January, remote, if the Halland contract is signed.
"""

# person | decision | stance | note
TOOK = """
piotr | radar-not-ultrasound | proposed | Built both on one mast and let them run for a winter
dag | radar-not-ultrasound | supported | One calibration instead of four
ragna | radar-not-ultrasound | supported |
hanne | mount-from-bridges | proposed |
siobhan | mount-from-bridges | objected | The permit takes longer than the gauge
anselm | drop-lake-levels | proposed | It hurts, but it is clear
ragna | drop-lake-levels | supported |
tobias | minute-readings | proposed |
mirela | minute-readings | objected | Until somebody shows me the power budget
lucia | minute-readings | supported | With the small capacitor it is affordable
femi | store-once | proposed |
yuki | store-once | supported |
pernille | lora-everywhere | proposed |
piotr | lora-everywhere | supported |
joost | two-radios | proposed | Not because LoRa is bad; because one of anything is
mirela | two-radios | supported |
pernille | two-radios | objected | Put up the second mast instead
hanne | two-radios | supported | I drove to Osa that night
kofi | sell-the-masts | proposed |
hanne | sell-the-masts | objected | I know who would climb up there when it breaks: we would
ragna | sell-the-masts | objected |
samira | rust-on-the-gauge | proposed |
mirela | rust-on-the-gauge | supported | With a way back for a year
samira | sleep-by-default | proposed |
lucia | sleep-by-default | supported |
anselm | measure-snow-later | proposed |
wen | measure-snow-later | objected | The third spring was going to be the good one
anselm | ensembles-not-one | proposed |
greta | ensembles-not-one | supported | The band tests better even with people who say they want a number
edda | ensembles-not-one | objected | Councils buy numbers
anselm | small-catchments-only | proposed |
ragna | small-catchments-only | supported |
oskar | acknowledge-by-voice | proposed |
linnea | acknowledge-by-voice | supported | Let the town choose its own word
yuki | acknowledge-by-voice | supported |
femi | keypad-instead | proposed |
femi | own-telephony | objected | I have been on call for an exchange before
oskar | own-telephony | proposed |
yuki | own-telephony | supported |
greta | static-map | proposed |
oskar | static-map | supported |
hanne | sheds | proposed |
ivar | sheds | supported |
kofi | sheds | supported | Cheapest insurance we have
mirela | ship-on-fridays-never | proposed | I was the one who pressed the button
samira | ship-on-fridays-never | supported |
linnea | drill-yearly | proposed |
edda | drill-yearly | supported |
kofi | drill-yearly | objected | It costs us a week a town
kofi | lease-not-sell | proposed |
edda | lease-not-sell | supported |
ragna | lease-not-sell | supported | We need to survive the first two years of it
callum | one-housing | proposed |
piotr | one-housing | supported |
ivar | one-housing | supported |
siobhan | one-housing | objected | It will look like a bunker on a town bridge
callum | farmer-battery | proposed |
ivar | farmer-battery | supported |
lucia | farmer-battery | objected | Water, lithium and a coin
lucia | no-solar | proposed |
dag | no-solar | supported |
linnea | free-for-schools | proposed |
kofi | free-for-schools | objected | Who answers the phone?
mirela | hire-a-radio-engineer | proposed |
joost | hire-a-radio-engineer | supported | Please
"""

# newer | older
SUPERSEDES = """
two-radios | lora-everywhere
acknowledge-by-voice | keypad-instead
"""

# slug | name | created | kind | pages | author [; reviewers] | about | cites | summary
DOCUMENTS = """
gauge-three-spec | Gauge 3: what it must survive | 2021-03-01T09:00:00Z | spec | 34 | piotr; dag, lucia | gauge-three | radar-not-ultrasound, mount-from-bridges | Loads, temperatures and accuracy for the radar gauge: ice to 40 cm, wind to 45 m/s, one centimetre at ten metres.
gauge-four-spec | Gauge 4: what we leave out | 2025-04-22T09:00:00Z | spec | 21 | callum; piotr, lucia, ivar | gauge-four | one-housing, farmer-battery, no-solar | One moulded housing, no screws, no solar panel, no display. What is not there cannot freeze.
lid-test | The lid, opened a thousand times | 2025-09-03T12:30:00Z | memo | 6 | dag; callum | gauge-four | farmer-battery | A thousand coins, a thousand openings, water tight until opening 871. The seal is now a part that gets changed with the battery.
power-budget | The power budget of a sleeping gauge | 2023-03-15T10:00:00Z | spec | 18 | samira; mirela, lucia | long-sleep | sleep-by-default, minute-readings | Where the milliampere hours go: radio 61 percent, radar 22, waking up for nothing 11. The last one is free to fix.
friday-postmortem | The Friday of the seventeenth | 2023-11-22T08:00:00Z | postmortem | 9 | mirela; yuki, hanne | long-sleep | ship-on-fridays-never, rust-on-the-gauge | A firmware update at 15:40 on a Friday left 38 gauges in the bootloader over a wet weekend. Nobody was hurt. Ivar drove 1,400 kilometres.
bootloader-guide | How to talk to a gauge that does not answer | 2024-01-30T09:30:00Z | guide | 12 | samira; ivar | long-sleep, two-days | ship-on-fridays-never | Step by step from the laptop on the bridge: wake it, read the reason, flash the golden image, write down the number.
two-radio-spec | Second Voice: who speaks when | 2024-10-14T09:00:00Z | spec | 16 | joost; mirela, femi | second-voice | two-radios, store-once | LoRa first, NB-IoT after thirty silent minutes, and both at once during an alarm. Reading numbers make the double harmless.
osa-postmortem | Nine calm hours at Osa | 2024-08-12T07:30:00Z | postmortem | 11 | hanne; yuki, anselm | second-voice, loud-bell | two-radios | Lightning took the mast. The map showed the last level as if it were the present one, and four towns believed it.
stale-is-not-calm | Stale is not calm | 2024-09-09T10:00:00Z | memo | 3 | greta; nadia | river-map, loud-bell | | Any level older than twenty minutes is drawn in grey with its age in words. Silence has a colour now.
link-budget | Link budgets for eleven valleys | 2024-11-04T13:00:00Z | memo | 27 | pernille; joost | second-voice | two-radios | Measured by driving through each valley twice, once with leaves on the trees. Three valleys need NB-IoT, two have neither.
handover-radio | Everything I know about our radios | 2025-02-24T16:00:00Z | guide | 44 | pernille; joost | second-voice, gauge-four | lora-everywhere, two-radios | Antennas that look right and are wrong, the mast keys, the regulator's phone number, and what I would do differently.
six-hour-plan | Six hours ahead: the plan | 2022-05-23T09:00:00Z | memo | 14 | anselm; ragna | six-hours | small-catchments-only, minute-readings | Small catchments answer rain in ninety minutes. Six hours of warning need rain forecasts, soil moisture and humility.
rating-curves | Rating curves without getting wet | 2023-06-12T11:00:00Z | guide | 19 | nadia; wen | six-hours | | How to turn a level into a flow with a drone, a bag of oranges and one afternoon at each site.
band-not-line | The band and the line | 2023-09-28T09:00:00Z | memo | 8 | anselm; greta, edda | six-hours, river-map | ensembles-not-one | Of forty people in five towns, thirty-one read the line as a promise and six read the band as one.
verification-2025 | Forecast verification 2025 | 2026-01-19T08:30:00Z | memo | 23 | tobias; anselm, wen | six-hours | ensembles-not-one, small-catchments-only | The crest was inside the band in 88 of 103 floods. Median warning time 5 h 10 min; the misses are all snow on wet ground.
snow-notes | Two springs are not enough | 2025-05-20T09:00:00Z | memo | 10 | wen; anselm | snow-eyes | measure-snow-later | Satellite snow cover explains the volume of the melt and says almost nothing about its first day. The calendar still wins.
lake-letter | Letter to the power companies | 2022-01-31T10:00:00Z | letter | 1 | ragna; anselm | lake-levels | drop-lake-levels | We thank you for the trial and stop at the end of the month. Your own data is better, and we told you so.
once-only-spec | Once Only: numbering readings | 2022-03-21T09:00:00Z | spec | 13 | femi; yuki | once-only | store-once | The gauge counts, the platform remembers the last thousand numbers of each gauge, and a repeated number is dropped without a word.
duplicates-memo | Where the duplicates came from | 2022-02-21T09:00:00Z | memo | 7 | femi; tobias | once-only | store-once | Three percent of readings came twice, nearly all within the same minute. Two of them were alarms, and both had consequences.
map-postmortem | The map during the October flood | 2023-10-19T08:00:00Z | postmortem | 7 | oskar; greta, yuki | river-map | static-map | Forty thousand people looked at the same bridge. The database answered the first nine thousand.
map-guide | How to read your town's river map | 2024-10-28T09:00:00Z | guide | 4 | linnea; greta | river-map, fire-drill | ensembles-not-one | What the colours mean, why grey is not good news, and where the band ends. Tested on three grandmothers.
bell-spec | Loud Bell: until somebody answers | 2025-01-27T09:00:00Z | spec | 17 | oskar; yuki, linnea | loud-bell | acknowledge-by-voice, keypad-instead | The call list, the code word, the pause between calls, and what happens when the whole list is asleep.
exchange-memo | Two small exchanges | 2025-03-17T10:00:00Z | memo | 9 | oskar; femi, kofi | loud-bell | own-telephony | One in Bergen and one in Malmö. Each can call four hundred towns in ten minutes; either may burn down.
laerdal-minutes | Meeting with the Lærdal fire brigade | 2024-12-09T14:00:00Z | minutes | 5 | edda; oskar, linnea | loud-bell, fire-drill | acknowledge-by-voice | The phone lay in a drawer. The chief was kind about it. He asked who else has a drawer.
drill-handbook | The drill handbook | 2024-06-17T09:00:00Z | guide | 28 | linnea; edda, mateus, nadia | fire-drill | drill-yearly | A flood exercise in one evening: roles, script, the false all-clear, and what to write down before people go home.
drill-voss | What we learnt at Voss | 2025-05-05T09:00:00Z | minutes | 6 | linnea; mateus | fire-drill, loud-bell | acknowledge-by-voice, drill-yearly | Fourteen minutes from the bell to the first sandbag. The code word was mumbled twice and accepted once.
sheds-memo | Eleven sheds and their keys | 2024-04-15T11:00:00Z | memo | 5 | hanne; kofi, ivar | two-days | sheds | Where the sheds are, who has the key, what lies in them. The list is checked on the first of each quarter.
two-days-report | Two Days: the first year | 2025-04-07T09:00:00Z | memo | 8 | hanne; dag | two-days | sheds, farmer-battery | Median time to replace a gauge fell from six days to one and a half. Finnmark still takes four.
permit-guide | Permits for bridges, county by county | 2023-02-13T10:00:00Z | guide | 31 | siobhan; hanne | two-days, gauge-three | mount-from-bridges | Who signs, how long it takes, and the three counties in which a phone call beats the form.
lease-model | Leasing: three years on paper | 2025-03-06T09:00:00Z | memo | 12 | kofi; ragna, edda | lease-a-river | lease-not-sell | Income falls by a third in the first year, meets the old line after 26 months and stays above it.
lease-contract | Model contract for leasing | 2025-05-15T09:00:00Z | letter | 9 | edda; kofi | lease-a-river | lease-not-sell, drill-yearly, sheds | Two days, one drill, one price. Either side may leave after a year, and the gauge goes home with us.
mast-insurance | What the masts cost | 2025-06-10T09:00:00Z | memo | 4 | kofi; hanne | second-voice, lease-a-river | sell-the-masts | Nineteen masts, 31,000 a year in insurance, two lightning strikes, one eagle's nest that must not be moved.
school-letter | Letter from a teacher in Åmot | 2025-09-26T12:00:00Z | letter | 1 | linnea; ragna | school-gauge | free-for-schools | My class measures the stream with a stick each Friday. They would like to know what it does on the other days.
quarter-minutes | Minutes of the quarterly, autumn 2025 | 2025-10-02T15:00:00Z | minutes | 7 | ragna; kofi, yuki | lease-a-river, loud-bell, gauge-four | hire-a-radio-engineer, lease-not-sell | Halland is likely, radio is thin, the moulds are paid. Everyone agreed on the bell and nobody on the schools.
"""

# slug | seen | kind | severity | source | concerns | supports decision=weight, … | text
SIGNALS = """
duck | 2020-06-14T05:12:00Z | incident | 2 | Gauge 2-017, Gaula | gauge-three | radar-not-ultrasound=0.5 | The river rose 60 cm in one minute and swam away.
cold-drift | 2021-01-08T06:00:00Z | measurement | 3 | Calibration bench | gauge-three | radar-not-ultrasound=0.9 | Ultrasound reads 4.1 cm low at minus 25 degrees. Radar reads 0.3 cm low.
bank-slide | 2021-03-30T11:20:00Z | incident | 3 | Field, Namdalen | gauge-three | mount-from-bridges=0.8 | The bank moved half a metre overnight and took the mast, the gauge and a birch along.
power-company | 2021-12-15T13:00:00Z | market | 2 | Trial customer | lake-levels | drop-lake-levels=0.9 | Your data agrees with ours to the centimetre, which is why we do not need it.
double-alarm | 2022-01-22T02:41:00Z | incident | 4 | Sirens, Flåm | once-only | store-once=1.0 | The siren went twice. At the second time people assumed a test and went back to bed.
three-percent | 2022-02-14T09:00:00Z | measurement | 3 | Platform | once-only, six-hours | store-once=0.8 | 3.1 percent of readings are stored more than once; the worst gauge repeats every ninth.
rising-limb | 2022-05-30T16:00:00Z | measurement | 2 | Forecasting | six-hours | minute-readings=0.7 | With fifteen-minute readings the model sees the crest after it has passed in four of eleven floods.
resets-2022 | 2022-12-20T10:00:00Z | measurement | 3 | Firmware | long-sleep | rust-on-the-gauge=0.8 | 212 resets in the field this year, 109 of them memory faults.
awake | 2023-04-26T14:00:00Z | measurement | 2 | Power profiler | long-sleep | sleep-by-default=1.0 | Awake 11 percent of the time, useful 2 percent. The rest is waiting for a serial port that nobody uses.
chief-went-home | 2023-09-03T19:30:00Z | complaint | 5 | Fire chief, Odda | six-hours, river-map | ensembles-not-one=1.0 | Your line said 2.1 metres, so I sent them home at nine. It was 2.9 at midnight.
map-down | 2023-10-11T20:04:00Z | incident | 5 | Monitoring | river-map | static-map=1.0 | The public map answers one request in five. Forty thousand people are looking at Voss bridge.
mayor-map | 2023-10-12T08:00:00Z | complaint | 4 | Mayor of Voss | river-map | static-map=0.6 | In the one hour when everybody needed your map it was gone.
bootloop | 2023-11-17T16:02:00Z | incident | 5 | Fleet monitor | long-sleep | ship-on-fridays-never=1.0 | 38 gauges have not reported since 15:46. All of them took the update.
ivar-diary | 2023-11-19T23:10:00Z | complaint | 3 | Ivar | long-sleep, two-days | ship-on-fridays-never=0.5, sheds=0.4 | Gauge 31 of 38. Snow. I have learnt to hate the word rollout.
finnmark-nine | 2024-02-19T09:00:00Z | complaint | 4 | Town of Karasjok | two-days | sheds=1.0 | Nine days without a gauge. We put a man with a stick there. He would like to go home.
fourteen-minutes | 2024-04-18T20:00:00Z | measurement | 2 | Drill at Sogndal | fire-drill | drill-yearly=0.9 | Fourteen minutes from the alarm to sandbags. Last year, without the drill, it was 52.
battery-visits | 2025-01-21T09:00:00Z | measurement | 3 | Field statistics | gauge-four, two-days | farmer-battery=1.0 | 61 of last year's 102 field visits were made to change a battery.
osa-lightning | 2024-08-05T21:48:00Z | incident | 5 | Mast Osa | second-voice | two-radios=1.0 | Mast Osa is silent. 14 gauges in four towns report nothing; the map shows a calm river.
osa-mayor | 2024-08-06T07:15:00Z | complaint | 5 | Mayor of Ulvik | second-voice, loud-bell | two-radios=0.7 | My river was calm on your screen and in my cellar it was not.
competitor-nbiot | 2024-07-02T12:00:00Z | market | 2 | Trade fair, Gothenburg | second-voice | two-radios=0.3 | The others all use mobile networks only, and all avoid talking about valleys.
drawer | 2024-11-23T03:25:00Z | incident | 5 | Alarm log, Lærdal | loud-bell | acknowledge-by-voice=1.0 | Alarm delivered at 03:25. Read at 07:10. The phone was in a drawer.
grandchild | 2024-12-10T18:30:00Z | incident | 3 | First drill with keypad | loud-bell, fire-drill | acknowledge-by-voice=0.8 | Confirmed after four seconds. By a six-year-old.
queue-at-provider | 2025-01-15T04:02:00Z | measurement | 4 | Telephony test | loud-bell | own-telephony=0.9 | Two hundred calls in one minute: the last one rang after 19 minutes.
on-call-memory | 2025-02-03T11:00:00Z | idea | 1 | Femi | loud-bell | own-telephony=-0.4 | If we run an exchange we need a second Oskar.
solar-theft | 2025-03-19T08:30:00Z | incident | 2 | Field, Halland | gauge-four | no-solar=0.6 | Three panels stolen in one night. The gauges were left, and one thank-you note.
june-and-january | 2025-04-30T10:00:00Z | measurement | 2 | Firmware | gauge-four | no-solar=0.9 | Panels add 104 percent in June and 2 percent in January. The floods come in October.
fourteen-months | 2025-02-10T09:00:00Z | market | 3 | Sales statistics | lease-a-river | lease-not-sell=0.9 | From first call to signature: fourteen months. The gauge is mounted in a day.
council-budget | 2025-02-27T13:00:00Z | market | 3 | Treasurer of Åmot | lease-a-river | lease-not-sell=0.7 | I can sign 400 a month today. 30,000 at once has to wait for the election.
mast-insurer | 2025-06-03T09:00:00Z | market | 3 | Insurer | second-voice | sell-the-masts=0.8 | The premium for the nineteen masts rises to 31,000 a year.
eagle | 2025-05-12T07:40:00Z | incident | 1 | Mast Røldal | second-voice | | An eagle nests on the antenna. Reception is better than before.
snow-on-wet | 2025-11-16T05:30:00Z | measurement | 3 | Forecasting | six-hours, snow-eyes | | All four misses this autumn were snow on wet ground. The model does not know wet ground.
third-spring | 2025-05-22T15:00:00Z | idea | 1 | Wen | snow-eyes | measure-snow-later=-0.6 | The first day of the melt follows the first warm night, not the snow. Give me one more spring.
teachers | 2025-09-29T10:00:00Z | market | 1 | Four schools | school-gauge | free-for-schools=0.7 | Four teachers in one month asked for a gauge for their stream.
who-answers | 2025-10-07T09:15:00Z | idea | 1 | Kofi | school-gauge | free-for-schools=-0.5 | Thirty pupils times ten schools is three hundred customers who can all type.
ulvik-thanks | 2025-10-20T11:00:00Z | praise | 1 | Mayor of Ulvik | loud-bell, second-voice | acknowledge-by-voice=0.4 | This time the bell rang until my deputy said haddock out loud. The cellar is dry.
voss-thanks | 2025-05-06T09:00:00Z | praise | 1 | Fire chief, Voss | fire-drill | drill-yearly=0.5 | Best evening exercise in years. Bring the false all-clear again, two of mine fell for it.
grey-river | 2024-10-02T17:00:00Z | praise | 1 | Farmer near Osa | river-map | | I like the grey. It is the first honest colour on a screen of mine.
lid-871 | 2025-08-29T15:30:00Z | measurement | 2 | Workshop | gauge-four | farmer-battery=0.5 | The lid leaks at opening 871. A battery lasts five years. That is four thousand years of lid.
bunker | 2025-06-25T12:00:00Z | complaint | 2 | Town architect, Lund | gauge-four | one-housing=-0.3 | Must it look like a bunker?
joost-hours | 2025-09-12T17:00:00Z | measurement | 3 | Time sheets | second-voice | hire-a-radio-engineer=0.9 | Joost has 32 contract hours and 51 worked ones, for the fifth month.
halland | 2025-10-01T10:00:00Z | market | 2 | County of Halland | lease-a-river, two-days | hire-a-radio-engineer=0.5 | Halland asks for 46 gauges on lease and wants to know who does the radios.
crest-88 | 2026-01-12T09:00:00Z | measurement | 1 | Forecasting | six-hours | ensembles-not-one=0.6 | The crest was inside the band in 88 of 103 floods.
kayaks | 2025-07-14T16:45:00Z | idea | 1 | Kayak club, Sjoa | river-map | | Could the map show green for kayaks? We look at it more often than the mayor does.
night-shift | 2025-12-03T02:15:00Z | incident | 3 | Oskar | loud-bell | | The Bergen exchange restarted itself. Malmö took over in eleven seconds. Nobody noticed but me.
ice-ten | 2026-01-28T07:00:00Z | measurement | 2 | Prototype 4-003, Tana | gauge-four | one-housing=0.7 | 38 cm of ice against the housing and not a scratch. The bridge looks worse.
"""

# team | quarter | progress | promise
OBJECTIVES = """
hardware | 2025-Q3 | 1 | Ten Gauge 4 prototypes on ten rivers
hardware | 2025-Q4 | 0.8 | The moulds are paid, cut and tried
hardware | 2026-Q1 | 0.35 | Prototypes survive a northern winter with nobody touching them
firmware | 2025-Q3 | 0.6 | Both radios in one image
firmware | 2025-Q4 | 0.7 | A hundred gauges with a second voice
firmware | 2026-Q1 | 0.2 | Somebody besides Joost can fix the radio stack
forecast | 2025-Q4 | 1 | Verification that an outsider can repeat
forecast | 2026-Q1 | 0.4 | Teach the model what wet ground is
platform | 2025-Q3 | 0.9 | Two exchanges, one of which may burn down
platform | 2025-Q4 | 1 | No alarm without a voice at the other end
platform | 2026-Q1 | 0.5 | The night shift sleeps
field | 2025-Q3 | 0.9 | Median replacement under two days, Finnmark included
field | 2025-Q4 | 0.75 | Fifty farmers who change batteries
towns | 2025-Q3 | 0.5 | Six towns on lease
towns | 2025-Q4 | 0.85 | A drill in every town that has a siren
towns | 2026-Q1 | 0.3 | Halland signed
"""

# A document's vector has one axis a topic, weighted by how often its words occur: near
# vectors are about the same things, and anyone can see why.
TOPICS = [
    ("radio", "radio lora nb-iot mast antenna valley network link lightning silent"),
    ("power", "battery power solar milliampere sleep sleeping wake lid seal coin"),
    ("housing", "housing mould moulded ice screws survive frozen freeze display wind"),
    ("measuring", "radar level reading readings centimetre accuracy flow gauge calibration drone"),
    ("forecast", "forecast crest band line model warning rain snow catchments verification"),
    ("alarm", "alarm bell call calls code word answer asleep phone exchange"),
    ("map", "map colour colours grey drawn database bridge looked shown"),
    ("drill", "drill exercise fire brigade chief sandbag flood all-clear evening"),
    ("money", "cost costs income price insurance year paid lease contract month"),
    ("failure", "postmortem wrong left nobody bootloader believed twice misses alarms update"),
    ("field", "shed sheds key keys replace drove site county permit kilometres finnmark"),
    ("people", "thank class teacher kind everyone nobody who everything grandmothers people"),
]


def rows(table, columns):
    for line in table.strip().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != columns:
            sys.exit(f"{len(cells)} cells instead of {columns}: {line}")
        yield cells


def names(cell):
    return [name.strip() for name in cell.split(",") if name.strip()]


def topics(text):
    words = collections.Counter(re.findall(r"[a-z-]+", text.lower()))
    weights = [sum(words[word] for word in vocabulary.split()) for _, vocabulary in TOPICS]
    length = math.sqrt(sum(weight * weight for weight in weights))
    if length == 0:
        return None
    return [round(weight / length, 4) for weight in weights]


class Graph:
    """Collects lines, and remembers which nodes exist so that no edge leads nowhere."""

    def __init__(self):
        self.nodes, self.edges, self.known = [], [], set()

    def node(self, kind, key, /, **data):
        if (kind, key) in self.known:
            sys.exit(f"{kind} {key} is there twice")
        self.known.add((kind, key))
        self.nodes.append({"type": kind, "data": {name: value for name, value in data.items() if value is not None}})

    def edge(self, kind, source, target, /, **data):
        for end in (source, target):
            if end not in self.known:
                sys.exit(f"{kind}: there is no {end[0]} {end[1]}")
        data = {name: value for name, value in data.items() if value is not None}
        self.edges.append({"edge": kind, "from": source[1], "to": target[1], "data": data})

    def text(self):
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.nodes + self.edges)


def build():
    graph = Graph()
    for slug, name, mission, founded, budget in rows(TEAMS, 5):
        graph.node("Team", slug, slug=slug, name=name, mission=mission, founded=founded, budget_eur=int(budget))
    people = list(rows(PEOPLE, 10))
    for slug, name, title, joined, left, remote, hours, _, _, skills in people:
        graph.node(
            "Person", slug, slug=slug, name=name, email=f"{slug}@skerry.example", title=title, joined=joined,
            left_on=left or None, remote=remote == "yes", hours=float(hours), skills=names(skills),
        )
    projects = list(rows(PROJECTS, 8))
    for slug, name, _, status, started, due, spent, pitch in projects:
        graph.node(
            "Project", slug, slug=slug, name=name, status=status, pitch=pitch, started=started or None,
            due=due or None, spent_eur=int(spent) if spent else None,
        )
    decisions = list(rows(DECISIONS, 9))
    for slug, name, created, status, confidence, reversible, _, context, outcome in decisions:
        graph.node(
            "Decision", slug, slug=slug, name=name, created_at=created, status=status, context=context,
            outcome=outcome, confidence=float(confidence), reversible=reversible == "yes",
        )
    documents = list(rows(DOCUMENTS, 9))
    for slug, name, created, kind, pages, _, _, _, summary in documents:
        graph.node(
            "Document", slug, slug=slug, name=name, created_at=created, kind=kind, summary=summary,
            pages=int(pages), embedding=topics(f"{name} {kind} {summary}"),
        )
    signals = list(rows(SIGNALS, 8))
    for slug, seen, kind, severity, source, _, _, text in signals:
        graph.node("Signal", slug, slug=slug, created_at=seen, kind=kind, source=source, text=text, severity=int(severity))
    objectives = list(rows(OBJECTIVES, 4))
    for team, quarter, progress, promise in objectives:
        key = json.dumps([team, quarter], separators=(",", ":"))
        graph.node("Objective", key, team=team, quarter=quarter, promise=promise, progress=float(progress))

    person, team = (lambda slug: ("Person", slug)), (lambda slug: ("Team", slug))
    project, decision, document = (lambda s: ("Project", s)), (lambda s: ("Decision", s)), (lambda s: ("Document", s))
    for slug, _, _, joined, _, _, _, manager, memberships, _ in people:
        for membership in memberships.split(";"):
            of, role = names(membership)
            graph.edge("MemberOf", person(slug), team(of), role=role, since=joined)
        if manager:
            graph.edge("ReportsTo", person(slug), person(manager))
    for who, what, share, since, until in rows(WORKS_ON, 5):
        graph.edge("WorksOn", person(who), project(what), share=float(share), since=since, until=until or None)
    for slug, _, owner, _, started, _, _, _ in projects:
        graph.edge("Owns", team(owner), project(slug), since=started or "2025-10-06")
    for upper, lower, why in rows(BUILDS_ON, 3):
        graph.edge("BuildsOn", project(upper), project(lower), why=why)
    for of, quarter, _, _ in objectives:
        graph.edge("Pursues", team(of), ("Objective", json.dumps([of, quarter], separators=(",", ":"))))
    for who, what, stance, note in rows(TOOK, 4):
        graph.edge("Took", person(who), decision(what), stance=stance, note=note or None)
    for slug, _, _, _, _, _, affected, _, _ in decisions:
        for what in names(affected):
            graph.edge("Affects", decision(slug), project(what))
    for newer, older in rows(SUPERSEDES, 2):
        graph.edge("Supersedes", decision(newer), decision(older))
    for slug, _, _, _, _, writers, about, cites, _ in documents:
        author, _, reviewers = writers.partition(";")
        graph.edge("Wrote", person(author.strip()), document(slug), part="author")
        for reviewer in names(reviewers):
            graph.edge("Wrote", person(reviewer), document(slug), part="reviewer")
        for what in names(about):
            graph.edge("About", document(slug), project(what))
        for what in names(cites):
            graph.edge("Cites", document(slug), decision(what))
    for slug, _, _, _, _, concerns, supports, _ in signals:
        for what in names(concerns):
            graph.edge("Concerns", ("Signal", slug), project(what))
        for support in names(supports):
            what, weight = support.split("=")
            graph.edge("Supports", ("Signal", slug), decision(what), weight=float(weight))
    return graph


def main():
    graph = build()
    text = graph.text()
    if sys.argv[1:] == ["--check"]:
        if OUT.read_text(encoding="utf-8") != text:
            sys.exit(f"{OUT} is stale: run scripts/make_company_example.py")
        return
    OUT.write_text(text, encoding="utf-8")
    kinds = collections.Counter(line.get("type") or line["edge"] for line in graph.nodes + graph.edges)
    print(", ".join(f"{kind} {n}" for kind, n in kinds.items()))
    print(f"{len(graph.nodes)} nodes, {len(graph.edges)} edges")


if __name__ == "__main__":
    main()
