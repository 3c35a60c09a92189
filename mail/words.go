package mail

// The words that generated names are made of: short, easily told apart when
// spoken, none that is a role, a program or a model. 64 of each, so that a
// random byte picks evenly.
const (
	adjectives = `
Amber Arctic Autumn Bold Brass Bright Bronze Calm
Cedar Chalk Clear Cobalt Copper Coral Crimson Crisp
Dapper Dawn Deep Dusty Early Ember Fair Fleet
Frosty Gentle Gilded Golden Grand Granite Hazel Hidden
Hollow Honest Indigo Ivory Jade Keen Late Lively
Lucky Lunar Maple Mellow Misty Noble Northern Olive
Opal Pearl Plum Quick Quiet Rapid Russet Scarlet
Silent Silver Solar Steady Stone Sunny Velvet Violet`
	nouns = `
Anchor Badger Bay Beacon Birch Bison Bridge Brook
Canyon Cliff Comet Cove Crane Creek Delta Dune
Eagle Elk Falcon Fern Field Finch Fjord Forest
Fox Garden Glacier Glade Grove Harbor Hawk Heron
Hill Island Lagoon Lantern Lark Lynx Marsh Meadow
Mesa Moose Oak Orchard Otter Owl Peak Pine
Pond Prairie Quarry Raven Reef Ridge River Robin
Spruce Stream Summit Swan Tower Trail Valley Willow`
)
